import { pause } from "@chowhound/shared/runtime/backoff";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { NatsNames } from "@chowhound/shared/stream/topology";
import type { Meter } from "@chowhound/shared/telemetry/meter";
import type { NatsConnection } from "@nats-io/transport-node";
import { readRawNumbers } from "./audit-barrier.ts";
import type { Ledger, NumberRange } from "./ledger.ts";

export interface RewindWatchOptions {
  ledger: Pick<Ledger, "noteGiven" | "noteRewind">;
  nc: NatsConnection;
  names: NatsNames;
  meter: Meter;
  log: Logger;
  signal: AbortSignal;
}

const LOOK_MS = 2_000;
/** While RAW gives out nothing, the books are asked only now and then. */
const LOOKS_WITHOUT_NEWS = 5;

/**
 * Keeps in the books how far RAW has come, so that they know of batches that were never booked. Raises an alarm, and keeps
 * it, when RAW is behind what it had given out: then it was restored from an older copy, and gives out numbers a second
 * time. Until `signal` is aborted.
 */
export async function watchForRewind(options: RewindWatchOptions): Promise<void> {
  const { ledger, nc, names, meter, log, signal } = options;
  /** What RAW has given out that the books have not heard of yet, by epoch: they may be away for long. */
  const unnoted = new Map<bigint, bigint>();
  let noted = { epoch: 0n, last: -1n };
  /** The numbers that are given out a second time, as long as RAW is behind. */
  let rewound: NumberRange | undefined;
  for (let look = 0; look === 0 || (await pause(LOOK_MS, signal)); look++) {
    try {
      const { epoch, last } = await readRawNumbers(nc, names);
      const isNews = epoch !== noted.epoch || last !== noted.last;
      if (!isNews && look % LOOKS_WITHOUT_NEWS !== 0) continue;
      if (last > (unnoted.get(epoch) ?? -1n)) unnoted.set(epoch, last);
      for (const [earlier, given] of unnoted)
        if (earlier !== epoch) await ledger.noteGiven({ epoch: earlier, last: given });
      const given = await ledger.noteGiven({ epoch, last: unnoted.get(epoch)! });
      unnoted.clear();
      noted = { epoch, last };
      // Once more: whatever the books know by now, RAW had given out before this.
      const raw = await readRawNumbers(nc, names);
      const isBehind = raw.isCertain && raw.epoch === epoch && raw.last < given;
      const numbers = { epoch, first: raw.last + 1n, last: given };
      if (isBehind && !covers(rewound, numbers)) {
        await ledger.noteRewind(numbers);
        if (rewound?.epoch !== epoch) {
          meter.count("chowhound.stream.rewinds", 1);
          log.error(
            { stream: names.stream("raw"), last: String(raw.last), given: String(given) },
            "RAW was rewound: it is behind what it had given out, and gives out numbers twice; see docs/audit.md#number_ahead",
          );
        }
        rewound = numbers;
      }
      if (!isBehind) rewound = undefined;
    } catch (error) {
      log.debug({ why: (error as Error).message }, "could not compare RAW with the books");
    }
  }
}

/** While RAW gets on from where it was rewound to, what is left to be given out twice becomes less: that is noted already. */
function covers(noted: NumberRange | undefined, { epoch, first, last }: NumberRange): boolean {
  return noted !== undefined && noted.epoch === epoch && noted.first <= first && noted.last >= last;
}
