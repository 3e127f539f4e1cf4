import { createLogger } from "@chowhound/shared/runtime/logger";
import { ensureStream, natsNames, streamEpoch } from "@chowhound/shared/stream/topology";
import { Meter } from "@chowhound/shared/telemetry/meter";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, inject, it, vi } from "vitest";
import type { RawNumbers } from "./ledger.ts";
import { watchForRewind } from "./rewind-watch.ts";

const WAIT = { timeout: 10_000 };

it("keeps what RAW has given out until the books are back, also of a RAW that is gone by then", async () => {
  const names = natsNames(`test-${crypto.randomUUID().slice(0, 8)}`);
  const nc = await connect({ servers: inject("natsUrl") });
  const jsm = await jetstreamManager(nc);
  const createRaw = () => ensureStream(nc, names, "raw", { maxBytes: 1024 ** 2, replicas: 1 });
  const first = streamEpoch(await createRaw());
  for (let i = 0; i < 3; i++) await jetstream(nc).publish(names.subject("raw", 0), "batch");
  let areAway = true;
  const asked: RawNumbers[] = [];
  const noteGiven = vi.fn(async (raw: RawNumbers) => {
    asked.push(raw);
    if (areAway) throw new Error("the books are away");
    return raw.last;
  });
  const ending = new AbortController();
  const watching = watchForRewind({
    ledger: { noteGiven, noteRewind: () => Promise.reject(new Error("nothing was rewound")) },
    nc,
    names,
    meter: new Meter("store"),
    log: createLogger("test", "error"),
    signal: ending.signal,
  });
  try {
    await vi.waitFor(() => expect(asked).toEqual([{ epoch: first, last: 3n }]), WAIT);
    await jsm.streams.delete(names.stream("raw"));
    const second = streamEpoch(await createRaw());
    areAway = false;
    asked.length = 0;
    await vi.waitFor(
      () =>
        expect(asked).toEqual([
          { epoch: first, last: 3n },
          { epoch: second, last: 0n },
        ]),
      WAIT,
    );
  } finally {
    ending.abort();
    await watching;
    await jsm.streams.delete(names.stream("raw"));
    await nc.close();
  }
});

it("notes once what RAW gives out a second time, while it gets on from where it was rewound to", async () => {
  const names = natsNames(`test-${crypto.randomUUID().slice(0, 8)}`);
  const nc = await connect({ servers: inject("natsUrl") });
  const jsm = await jetstreamManager(nc);
  const epoch = streamEpoch(await ensureStream(nc, names, "raw", { maxBytes: 1024 ** 2, replicas: 1 }));
  const publish = () => jetstream(nc).publish(names.subject("raw", 0), "batch");
  await publish();
  const given = 10n;
  const looks: RawNumbers[] = [];
  const noteRewind = vi.fn(async () => {});
  const ending = new AbortController();
  const watching = watchForRewind({
    ledger: {
      noteGiven: async (raw) => {
        looks.push(raw);
        return given;
      },
      noteRewind,
    },
    nc,
    names,
    meter: new Meter("store"),
    log: createLogger("test", "error"),
    signal: ending.signal,
  });
  try {
    await vi.waitFor(() => expect(noteRewind).toHaveBeenCalled(), WAIT);
    await publish();
    await vi.waitFor(() => expect(looks.at(-1)).toEqual({ epoch, last: 2n }), WAIT);
    await publish();
    await vi.waitFor(() => expect(looks.at(-1)).toEqual({ epoch, last: 3n }), WAIT);
    expect(noteRewind.mock.calls).toEqual([[{ epoch, first: 2n, last: given }]]);
  } finally {
    ending.abort();
    await watching;
    await jsm.streams.delete(names.stream("raw"));
    await nc.close();
  }
});
