import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { decodeBatch, ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import { type LandedRecord, readLanded } from "@chowhound/shared/batch/landed-record";
import {
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import {
  type IngestionData,
  IngestionDataSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import type { PipelineTestResultSchema } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { newUuid } from "@chowhound/shared/record/assign-uuid";
import { RecordView } from "@chowhound/shared/record/record-view";
import { formatUuid } from "@chowhound/shared/record/uuid";
import { type AcceptedRecord, validateRecord } from "@chowhound/shared/record/validate-record";
import { type Additions, appendAdditions } from "./enrich-batch.ts";
import type { Suspect } from "./trial/suspect-trial.ts";

export type PipelineTestResult = MessageInitShape<typeof PipelineTestResultSchema> & {
  record?: IngestionData;
};

export interface PipelineTest {
  samples: readonly IngestionData[];
  /** Of the samples. */
  tenantId: string;
  /** Enriches a batch, as SuspectTrial does: a sample may end the process that tries it. */
  enrich(suspect: Suspect): Promise<Additions | undefined>;
  /** The largest record that the door takes. */
  maxRecordBytes: number;
  /** The largest message that the enricher may make. */
  maxMessageBytes: number;
}

/** What one test may hold. */
export const TEST_LIMITS = { records: 100, bytes: 1024 ** 2, resultBytes: 3 * 1024 ** 2 } as const;

/**
 * What becomes of samples, by the code that real records go through: each is judged as at the door, put into a batch of
 * its own, enriched, and read as the store reads it. Nothing is passed on.
 *
 * Rejects with CallError empty_batch, too_many_records, call_too_large, shutting_down.
 */
export async function testPipeline(test: PipelineTest): Promise<PipelineTestResult[]> {
  const samples = measure(test.samples.map(encodeSample));
  const results: PipelineTestResult[] = [];
  let resultBytes = 0;
  // One ahead: while there is a next one, the process that tries them goes on.
  let next = testSample(samples[0]!, test);
  for (let i = 1; i <= samples.length; i++) {
    const current = next;
    if (i < samples.length) next = testSample(samples[i]!, test);
    next.catch(() => {});
    const result = await current;
    resultBytes += result.record === undefined ? 0 : toBinary(IngestionDataSchema, result.record).length;
    if (resultBytes > TEST_LIMITS.resultBytes) throw tooLarge("the results", TEST_LIMITS.resultBytes);
    results.push(result);
  }
  return results;
}

/** A sample needs neither uuid nor time: the uuid it gets here is of version 7, and so has a time. */
function encodeSample(sample: IngestionData): Uint8Array {
  const uuid = sample.uuid === "" ? formatUuid(newUuid()) : sample.uuid;
  return toBinary(IngestionDataSchema, { ...sample, uuid });
}

function measure(samples: readonly Uint8Array[]): readonly Uint8Array[] {
  const { records, bytes } = TEST_LIMITS;
  if (samples.length === 0)
    throw new CallError("empty_batch", "the call holds no samples; send at least one", { field: "records" });
  if (samples.length > records)
    throw new CallError("too_many_records", `the call holds more than ${records} samples; send fewer`, {
      field: "records",
      metadata: { limit: `${records}` },
    });
  if (samples.reduce((sum, sample) => sum + sample.length, 0) > bytes) throw tooLarge("the samples", bytes);
  return samples;
}

function tooLarge(what: string, maxBytes: number): CallError {
  return new CallError("call_too_large", `${what} have more than ${maxBytes} bytes; send fewer samples`, {
    field: "records",
    metadata: { limit: `${maxBytes}` },
  });
}

async function testSample(sample: Uint8Array, test: PipelineTest): Promise<PipelineTestResult> {
  const { tenantId, maxRecordBytes } = test;
  const accepted = validateRecord(sample, { tenantId, nowMs: Date.now(), maxRecordBytes });
  if (accepted.kind === "rejected") {
    const { reason, field, message } = accepted;
    return { outcome: "rejected", reason, field, detail: message };
  }
  const batch = await enrichAlone(accepted, test);
  const [pipeline] = batch.pipelines;
  const by = {
    pipelineTenantId: pipeline!.tenantId,
    pipelineSourceType: pipeline!.sourceType,
    pipelineVersion: pipeline!.version,
  };
  const [dead] = batch.deadLabels;
  if (dead !== undefined)
    return { outcome: "dead_lettered", reason: dead.reason, detail: dead.detail, ...by };
  const view = new RecordView().read(batch.originals[0]!);
  const landed = readLanded(view, batch.enrichments[0]);
  return {
    outcome: "enriched",
    record: toRecord(landed, { tenantId, uuid: formatUuid(batch.uuids) }),
    changedFields: changedFields(readLanded(view, undefined), landed),
    ...by,
  };
}

/** The record in a batch of its own, as the enricher would publish it. */
async function enrichAlone(
  record: AcceptedRecord,
  { tenantId, enrich, maxMessageBytes }: PipelineTest,
): Promise<RecordBatch> {
  const raw = create(RecordBatchSchema, {
    envelopeVersion: ENVELOPE_VERSION,
    batchId: newUuid(),
    acceptedAtUs: BigInt(Date.now()) * 1000n,
    acceptedCount: 1,
    calls: [{ tenantId }],
    originals: [record.bytes],
    callOf: [0],
    uuids: record.uuid,
    contentHashes: record.contentHash,
    versionsUs: [BigInt(record.versionUs)],
  });
  const message = toBinary(RecordBatchSchema, raw);
  const additions = await enrich({ message, records: 1, origin: { epoch: 0n, sequence: 0n } });
  if (additions === undefined)
    throw new CallError("shutting_down", "the process is draining; ask another one");
  const enriched = appendAdditions(message, additions, maxMessageBytes);
  const decoded = decodeBatch(enriched?.bytes ?? new Uint8Array());
  if (decoded.kind === "batch") return decoded.batch;
  throw new Error("a sample that the door takes made no batch");
}

type RecordInit = MessageInitShape<typeof IngestionDataSchema>;

function toRecord(landed: LandedRecord, identity: { tenantId: string; uuid: string }): IngestionData {
  const { metadataJson, rawPayload, createdAtUs, updatedAtUs } = landed;
  const record: RecordInit = {
    ...identity,
    sourceType: landed.sourceType.toString(),
    sourceId: landed.sourceId.toString(),
    dataId: landed.dataId.toString(),
    data: landed.data.toString(),
    metadataType: landed.metadataType.toString(),
    lang: landed.lang.toString(),
    attributes: JSON.parse(landed.attributesJson),
  };
  if (metadataJson !== "{}") record.metadata = JSON.parse(metadataJson);
  if (createdAtUs !== undefined) record.createdAt = toTimestamp(createdAtUs);
  if (updatedAtUs !== undefined) record.updatedAt = toTimestamp(updatedAtUs);
  if (rawPayload !== undefined)
    record.rawPayload = { content: rawPayload.content, contentType: rawPayload.contentType.toString() };
  return create(IngestionDataSchema, record);
}

function toTimestamp(us: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(us / 1e6);
  return { seconds: BigInt(seconds), nanos: (us - seconds * 1e6) * 1000 };
}

/** What a pipeline can change, under the names that people read. */
const CHANGEABLE = [
  ["data_id", "dataId"],
  ["data", "data"],
  ["metadata", "metadataJson"],
  ["metadata_type", "metadataType"],
  ["lang", "lang"],
  ["attributes", "attributesJson"],
] as const satisfies [string, keyof LandedRecord][];

function changedFields(before: LandedRecord, after: LandedRecord): string[] {
  const changed: string[] = CHANGEABLE.filter(
    ([, field]) => before[field].toString() !== after[field].toString(),
  ).map(([name]) => name);
  if (before.rawPayload !== undefined && after.rawPayload === undefined) changed.push("raw_payload");
  return changed;
}
