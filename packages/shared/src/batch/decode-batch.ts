import { fromBinary, mergeFromBinary } from "@bufbuild/protobuf";
import {
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { HASH_BYTES } from "../record/content-hash.ts";
import { UUID_BYTES } from "../record/uuid.ts";
import { BUNDLE_ENVELOPE_VERSION } from "./bundle.ts";
import { PACKED_ENVELOPE_VERSION, peekPacked, unpackBatch } from "./pack-batch.ts";

/** The layout of a batch of the gateway. */
export const ENVELOPE_VERSION = 1;
/**
 * The layout of a replay of dead letters. Software that doesn't know it gives a replay back instead of taking its
 * records for new ones.
 */
export const REPLAY_ENVELOPE_VERSION = 2;
/**
 * The layout of a batch that the gateway has dropped records from. An enricher that doesn't know it would take it for one that has been
 * through dedup.
 */
export const REDUCED_ENVELOPE_VERSION = 4;
export const NEWEST_ENVELOPE_VERSION = BUNDLE_ENVELOPE_VERSION;

/** What a message turned out to be. */
export type DecodedBatch =
  | { kind: "batch"; batch: RecordBatch }
  /** Written by newer software: to be given back, never to be judged. */
  | { kind: "newer"; envelopeVersion: number }
  /** Not a batch; `detail` says what is wrong with it. */
  | { kind: "undecodable"; detail: string };

const OPTIONS = { readUnknownFields: false };

/**
 * Decodes a message, unpacked where it is packed, and checks that its columns agree. Byte columns are views of `message`, or of
 * what was unpacked, not copies.
 */
export function decodeBatch(message: Uint8Array): DecodedBatch {
  let batch: RecordBatch;
  try {
    const packed = peekPacked(message);
    batch =
      packed === undefined
        ? fromBinary(RecordBatchSchema, message, OPTIONS)
        : merge(unpackBatch(packed), message);
  } catch (error) {
    return { kind: "undecodable", detail: `not a RecordBatch: ${(error as Error).message}` };
  }
  if (batch.envelopeVersion > NEWEST_ENVELOPE_VERSION)
    return { kind: "newer", envelopeVersion: batch.envelopeVersion };
  const detail = findMismatch(batch);
  return detail === undefined ? { kind: "batch", batch } : { kind: "undecodable", detail };
}

/** What was packed, with what stands beside it. */
function merge(unpacked: Uint8Array, message: Uint8Array): RecordBatch {
  const batch = fromBinary(RecordBatchSchema, unpacked, OPTIONS);
  const { envelopeVersion } = batch;
  mergeFromBinary(RecordBatchSchema, batch, message, OPTIONS);
  if (batch.envelopeVersion === PACKED_ENVELOPE_VERSION) batch.envelopeVersion = envelopeVersion;
  batch.packed = new Uint8Array(0);
  batch.unpackedBytes = 0;
  return batch;
}

function findMismatch(batch: RecordBatch): string | undefined {
  const count = batch.originals.length;
  const dropped = batch.dropped.reduce((sum, drop) => sum + drop.count, 0);
  if (batch.envelopeVersion < 1) return "no envelope version";
  if (batch.envelopeVersion === PACKED_ENVELOPE_VERSION) return "packed fields that are none";
  if (batch.envelopeVersion === BUNDLE_ENVELOPE_VERSION)
    return "a bundle that is none, or that is out of place";
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
  const isReplay = batch.envelopeVersion === REPLAY_ENVELOPE_VERSION;
  if (batch.replayOf.length !== (isReplay ? UUID_BYTES : 0))
    return `envelope version ${batch.envelopeVersion}, and replay_of has ${batch.replayOf.length} bytes`;
  columns.push(["replay_ordinals", batch.replayOrdinals.length, isReplay ? count : 0]);
  if (isReplay && dropped > 0) return "a replay of which records were dropped";
  const isEnriched = batch.origin !== undefined;
  const isReduced = batch.envelopeVersion === REDUCED_ENVELOPE_VERSION;
  // Software from before these columns counted only.
  if (batch.droppedUuids.length > 0 || isReduced) {
    columns.push(["dropped_uuids", batch.droppedUuids.length, dropped * UUID_BYTES]);
    columns.push(["dropped_call_of", batch.droppedCallOf.length, dropped]);
    columns.push(["dropped_pipeline_of", batch.droppedPipelineOf.length, isEnriched ? dropped : 0]);
  }
  if (batch.droppedSourceOf.length > 0 || (isReduced && !isEnriched))
    columns.push(["dropped_source_of", batch.droppedSourceOf.length, dropped]);
  if (isEnriched) {
    columns.push(["pipeline_of", batch.pipelineOf.length, count]);
    columns.push(["fingerprints", batch.fingerprints.length, count * HASH_BYTES]);
  }
  for (const [name, actual, expected] of columns) {
    if (actual !== expected) return `the column ${name} has the length ${actual}, not ${expected}`;
  }
  const isNoCall = (call: number): boolean => call >= batch.calls.length;
  if (batch.callOf.some(isNoCall) || batch.droppedCallOf.some(isNoCall)) return "a record of no call";
  const isNoPipeline = (pipeline: number): boolean => pipeline >= batch.pipelines.length;
  if (batch.pipelineOf.some(isNoPipeline) || batch.droppedPipelineOf.some(isNoPipeline))
    return "a record of no pipeline";
  if (batch.droppedSourceOf.some((source) => source >= batch.dropped.length))
    return "a dropped record of no source";
  if (
    batch.ordinals.some(
      (ordinal, i) => ordinal >= batch.acceptedCount || (i > 0 && ordinal <= batch.ordinals[i - 1]!),
    )
  )
    return "ordinals that don't ascend within the batch";
  if (batch.replayOrdinals.some((ordinal, i) => i > 0 && ordinal <= batch.replayOrdinals[i - 1]!))
    return "replay_ordinals that don't ascend";
  const indexed = [...batch.enrichments, ...batch.deadLabels];
  if (indexed.some(({ index }) => index >= count)) return "an enrichment or a dead label of no record";
  return undefined;
}
