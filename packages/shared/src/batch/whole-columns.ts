import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { UUID_BYTES } from "../record/uuid.ts";
import { ordinalAt, uuidAt } from "./batch-columns.ts";

/** Columns of all records that were accepted into a batch, index by place. */
export interface WholeColumns {
  /** 16 bytes a record; all zero where it is not known. */
  uuids: Uint8Array;
  callOf: number[];
  /** Empty before the enricher. */
  pipelineOf: number[];
}

/**
 * The columns as they were before records were dropped, of a batch that `decodeBatch` has checked.
 *
 * @param options.unknownCall stands for the call of a record that older software has dropped without saying whose it was, where
 *   the batch has several calls
 */
export function wholeColumns(
  batch: RecordBatch,
  { unknownCall = 0 }: { unknownCall?: number } = {},
): WholeColumns {
  const count = batch.originals.length;
  if (batch.acceptedCount === count) return batch;
  const uuids = new Uint8Array(batch.acceptedCount * UUID_BYTES);
  const callOf: number[] = [];
  const pipelineOf: number[] = [];
  const isEnriched = batch.pipelineOf.length + batch.droppedPipelineOf.length > 0;
  const anyCall = batch.calls.length > 1 ? unknownCall : 0;
  let kept = 0;
  let dropped = 0;
  for (let place = 0; place < batch.acceptedCount; place++) {
    if (kept < count && ordinalAt(batch, kept) === place) {
      uuids.set(uuidAt(batch, kept), place * UUID_BYTES);
      callOf.push(batch.callOf[kept]!);
      if (isEnriched) pipelineOf.push(batch.pipelineOf[kept]!);
      kept++;
    } else {
      const at = dropped * UUID_BYTES;
      uuids.set(batch.droppedUuids.subarray(at, at + UUID_BYTES), place * UUID_BYTES);
      callOf.push(batch.droppedCallOf[dropped] ?? anyCall);
      if (isEnriched) pipelineOf.push(batch.droppedPipelineOf[dropped] ?? 0);
      dropped++;
    }
  }
  return { uuids, callOf, pipelineOf };
}
