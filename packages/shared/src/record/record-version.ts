import type { WireTimestamp } from "./record-view.ts";
import { uuidV7Us } from "./uuid.ts";

/** Whole microseconds since 1970, rounded down; undefined where nanos is out of range or the time beyond ±285 years. */
export function timestampUs(time: WireTimestamp): number | undefined {
  if (time.nanos < 0 || time.nanos > 999_999_999) return undefined;
  const us = time.seconds * 1_000_000 + Math.floor(time.nanos / 1000);
  return Number.isSafeInteger(us) ? us : undefined;
}

/**
 * The version that orders the records of one key, in microseconds: updated_at, else created_at, else the time of a
 * version 7 uuid that the producer chose. Undefined where there is none: an order made up at the door would let a
 * retry of an old record win over a newer one.
 */
export function recordVersionUs(
  updatedAtUs: number | undefined,
  createdAtUs: number | undefined,
  sentUuid: Uint8Array | undefined,
): number | undefined {
  return updatedAtUs ?? createdAtUs ?? (sentUuid === undefined ? undefined : uuidV7Us(sentUuid));
}
