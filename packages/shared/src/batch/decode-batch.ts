import { fromBinary } from "@bufbuild/protobuf";
import {
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { HASH_BYTES } from "../record/content-hash.ts";
import { UUID_BYTES } from "../record/uuid.ts";

/** The layout that this software writes and the newest that it reads. */
export const ENVELOPE_VERSION = 1;

/** What a message turned out to be. */
export type DecodedBatch =
  | { kind: "batch"; batch: RecordBatch }
  /** Written by newer software: to be given back, never to be judged. */
  | { kind: "newer"; envelopeVersion: number }
  /** Not a batch; `detail` says what is wrong with it. */
  | { kind: "undecodable"; detail: string };

/** Decodes a message and checks that its columns agree. Byte columns are views of `message`, not copies. */
export function decodeBatch(message: Uint8Array): DecodedBatch {
  let batch: RecordBatch;
  try {
    batch = fromBinary(RecordBatchSchema, message, { readUnknownFields: false });
  } catch (error) {
    return { kind: "undecodable", detail: `not a RecordBatch: ${(error as Error).message}` };
  }
  if (batch.envelopeVersion > ENVELOPE_VERSION)
    return { kind: "newer", envelopeVersion: batch.envelopeVersion };
  const detail = findMismatch(batch);
  return detail === undefined ? { kind: "batch", batch } : { kind: "undecodable", detail };
}

function findMismatch(batch: RecordBatch): string | undefined {
  const count = batch.originals.length;
  const dropped = batch.dropped.reduce((sum, drop) => sum + drop.count, 0);
  if (batch.envelopeVersion < 1) return "no envelope version";
  if (batch.batchId.length !== UUID_BYTES) return `a batch id of ${batch.batchId.length} bytes`;
  if (batch.acceptedCount !== count + dropped)
    return `${count} records and ${dropped} dropped where ${batch.acceptedCount} were accepted`;
  const columns: [string, number, number][] = [
    ["call_of", batch.callOf.length, count],
    ["uuids", batch.uuids.length, count * UUID_BYTES],
    ["content_hashes", batch.contentHashes.length, count * HASH_BYTES],
    ["versions_us", batch.versionsUs.length, count],
  ];
  if (batch.ordinals.length > 0) columns.push(["ordinals", batch.ordinals.length, count]);
  if (batch.origin !== undefined) {
    columns.push(["pipeline_of", batch.pipelineOf.length, count]);
    columns.push(["fingerprints", batch.fingerprints.length, count * HASH_BYTES]);
  }
  for (const [name, actual, expected] of columns) {
    if (actual !== expected) return `the column ${name} has the length ${actual}, not ${expected}`;
  }
  if (batch.callOf.some((call) => call >= batch.calls.length)) return "a record of no call";
  if (batch.pipelineOf.some((pipeline) => pipeline >= batch.pipelines.length))
    return "a record of no pipeline";
  if (
    batch.ordinals.some(
      (ordinal, i) => ordinal >= batch.acceptedCount || (i > 0 && ordinal <= batch.ordinals[i - 1]!),
    )
  )
    return "ordinals that don't ascend within the batch";
  const indexed = [...batch.enrichments, ...batch.deadLabels];
  if (indexed.some(({ index }) => index >= count)) return "an enrichment or a dead label of no record";
  return undefined;
}
