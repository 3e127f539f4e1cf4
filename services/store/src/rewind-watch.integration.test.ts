import { createLogger } from "@chowhound/shared/runtime/logger";
import { ensureStream, natsNames, streamEpoch } from "@chowhound/shared/stream/topology";
import { Meter } from "@chowhound/shared/telemetry/meter";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, inject, it, vi } from "vitest";
import type { RawNumbers } from "./ledger.ts";
import { type RewindWatchOptions, watchForRewind } from "./rewind-watch.ts";

const WAIT = { timeout: 10_000 };

let nc: NatsConnection;
let jsm: JetStreamManager;
let names: ReturnType<typeof natsNames>;
let ending: AbortController;
let watching: Promise<void> | undefined;

beforeEach(async () => {
  nc = await connect({ servers: inject("natsUrl") });
  jsm = await jetstreamManager(nc);
  names = natsNames(`test-${crypto.randomUUID().slice(0, 8)}`);
  ending = new AbortController();
});
afterEach(async () => {
  ending.abort();
  await watching;
  await jsm.streams.delete(names.stream("raw"));
  await nc.close();
});

/** Returns its epoch. */
async function createRaw(): Promise<bigint> {
  return streamEpoch(await ensureStream(nc, names, "raw", { maxBytes: 1024 ** 2, replicas: 1 }));
}

const publish = () => jetstream(nc).publish(names.subject("raw", 0), "batch");

function watch(ledger: RewindWatchOptions["ledger"]): void {
  const [meter, log] = [new Meter("store"), createLogger("test", "error")];
  watching = watchForRewind({ ledger, nc, names, meter, log, signal: ending.signal });
}

it("keeps what RAW has given out until the books are back, also of a RAW that is gone by then", async () => {
  const first = await createRaw();
  for (let i = 0; i < 3; i++) await publish();
  let areAway = true;
  const asked: RawNumbers[] = [];
  const noteGiven = vi.fn(async (raw: RawNumbers) => {
    asked.push(raw);
    if (areAway) throw new Error("the books are away");
    return raw.last;
  });
  watch({ noteGiven, noteRewind: () => Promise.reject(new Error("nothing was rewound")) });
  await vi.waitFor(() => expect(asked).toEqual([{ epoch: first, last: 3n }]), WAIT);
  await jsm.streams.delete(names.stream("raw"));
  const second = await createRaw();
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
});

it("notes once what RAW gives out a second time, while it gets on from where it was rewound to", async () => {
  const epoch = await createRaw();
  await publish();
  const given = 10n;
  const looks: RawNumbers[] = [];
  const noteGiven = async (raw: RawNumbers): Promise<bigint> => {
    looks.push(raw);
    return given;
  };
  const noteRewind = vi.fn(async () => {});
  watch({ noteGiven, noteRewind });
  await vi.waitFor(() => expect(noteRewind).toHaveBeenCalled(), WAIT);
  for (const last of [2n, 3n]) {
    await publish();
    await vi.waitFor(() => expect(looks.at(-1)).toEqual({ epoch, last }), WAIT);
  }
  expect(noteRewind.mock.calls).toEqual([[{ epoch, first: 2n, last: given }]]);
});
