import type { Located } from "./source-record.ts";

/** A record on its way, with where it came from. */
export interface OutgoingRecord {
  /** An encoded IngestionData. */
  bytes: Uint8Array;
  origin: Origin;
}

/** Where a record came from. */
export interface Origin extends Located {
  /** Which of the inputs, from 0. */
  input: number;
}

/** Records of one input that are sent together, at least one. */
export interface Batch {
  /** From 1, rising. */
  number: number;
  records: OutgoingRecord[];
}

/** Well below what the gateway takes in one go, so that little has to be sent again. */
export const MAX_BATCH_RECORDS = 500;
export const MAX_BATCH_BYTES = 512 * 1024;
