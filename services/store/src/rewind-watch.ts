import { pause } from "@chowhound/shared/runtime/backoff";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { NatsNames } from "@chowhound/shared/stream/topology";
import type { Meter } from "@chowhound/shared/telemetry/meter";
import type { NatsConnection } from "@nats-io/transport-node";
import { readRawNumbers } from "./audit-barrier.ts";
import type { Ledger } from "./ledger.ts";

export interface RewindWatchOptions {
  ledger: Ledger;
  nc: NatsConnection;
  names: NatsNames;
  meter: Meter;
  log: Logger;
  signal: AbortSignal;
}

const LOOK_MS = 10_000;

/**
 * Raises an alarm when RAW is behind the books, until `signal` is aborted: then it was restored from an older copy, and is
 * about to give out numbers a second time. The audit names them later; this is to act in time.
 */
export async function watchForRewind({
  ledger,
  nc,
  names,
  meter,
  log,
  signal,
}: RewindWatchOptions): Promise<void> {
  let isRewound = false;
  do {
    try {
      // In this order: whatever was booked by the first had been given out by the second.
      const { epoch } = await readRawNumbers(nc, names);
      const booked = await ledger.highestBooked(epoch);
      const raw = await readRawNumbers(nc, names);
      const isBehind = raw.isCertain && raw.epoch === epoch && raw.last < booked;
      if (isBehind && !isRewound) {
        meter.count("chowhound.stream.rewinds", 1);
        log.error(
          { stream: names.stream("raw"), last: String(raw.last), booked: String(booked) },
          "RAW was rewound: it is behind the books and will give out numbers twice; see docs/audit.md#number_ahead",
        );
      }
      isRewound = isBehind;
    } catch (error) {
      log.debug({ why: (error as Error).message }, "could not compare RAW with the books");
    }
  } while (await pause(LOOK_MS, signal));
}
