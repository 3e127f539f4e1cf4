import type { Call, RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { HASH_BYTES } from "../record/content-hash.ts";
import { UUID_BYTES } from "../record/uuid.ts";

/** Reads of one record's place in the columns of a batch that `decodeBatch` has checked. Views, not copies. */

export function callAt(batch: RecordBatch, index: number): Call {
  return batch.calls[batch.callOf[index]!]!;
}

export function uuidAt(batch: RecordBatch, index: number): Uint8Array {
  return batch.uuids.subarray(index * UUID_BYTES, (index + 1) * UUID_BYTES);
}

export function contentHashAt(batch: RecordBatch, index: number): Uint8Array {
  return batch.contentHashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
}

export function fingerprintAt(batch: RecordBatch, index: number): Uint8Array {
  return batch.fingerprints.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
}

/** The record's place in the batch as the gateway made it. */
export function ordinalAt(batch: RecordBatch, index: number): number {
  return batch.ordinals[index] ?? index;
}

/** The batch brings dead letters again: replayOrdinals says which. */
export function isReplay(batch: RecordBatch): boolean {
  return batch.replayOf.length > 0;
}
