import { randomBytes } from "node:crypto";
import { create, type JsonObject, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type CallSchema,
  DeadLabelSchema,
  type DroppedCount,
  DroppedCountSchema,
  type Enrichment,
  EnrichmentSchema,
  PipelineRefSchema,
  RawOriginSchema,
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { callAt, contentHashAt, uuidAt } from "../batch/batch-columns.ts";
import { ENVELOPE_VERSION, REDUCED_ENVELOPE_VERSION } from "../batch/decode-batch.ts";
import { contentHash, recordFingerprint } from "../record/content-hash.ts";
import { RECORD_FIELD, RecordView } from "../record/record-view.ts";
import { parseUuid, UUID_BYTES } from "../record/uuid.ts";

/** A record to be put into a batch; what is left out gets a valid value. The tenant stands in the call only. */
export interface SampleRecord {
  tenantId?: string;
  sourceType?: string;
  sourceId?: string;
  /** Left out: one that no other record has. */
  dataId?: string;
  data?: string;
  metadata?: JsonObject;
  metadataType?: string;
  lang?: string;
  attributes?: Record<string, string>;
  /** Left out: the producer sent none, and one stands in the column only. */
  uuid?: string;
  /** Microseconds since 1970; the record's version. */
  updatedAtUs?: number;
  rawPayload?: { content: Uint8Array; contentType: string };
  /** The version of the pipeline that processed it; 0 for the built-in default. */
  pipelineVersion?: number;
  /** What the pipeline changed. */
  enrichment?: Partial<Omit<Enrichment, "$typeName" | "$unknown" | "index">>;
  /** The enricher could not process it. */
  dead?: { reason: string; detail?: string };
}

export interface SampleBatch {
  records: readonly SampleRecord[];
  /** Left out: a random one. */
  batchId?: Uint8Array;
  /** Microseconds since 1970; left out: now. */
  acceptedAtUs?: number;
  partition?: number;
  /** Left out: a number in RAW that no other batch has. */
  origin?: MessageInitShape<typeof RawOriginSchema>;
  /** Continues the W3C trace of every call. */
  traceparent?: string;
}

let lastDataId = 0;
let lastRawSequence = 0n;

/** A valid batch as the enricher publishes it, with one call per tenant. */
export function sampleBatch(sample: SampleBatch): RecordBatch {
  const batch = sampleRawBatch(sample);
  const pipelineKeys: string[] = [];
  const fingerprints: Buffer[] = [];
  sample.records.forEach((record, index) => {
    const { tenantId } = callAt(batch, index);
    const view = new RecordView().read(batch.originals[index]!);
    const version = BigInt(record.pipelineVersion ?? 0);
    const pipeline =
      version === 0n ? {} : { tenantId, sourceType: view.text(RECORD_FIELD.sourceType), version };
    const pipelineKey = Object.values(pipeline).join("/");
    if (!pipelineKeys.includes(pipelineKey)) {
      pipelineKeys.push(pipelineKey);
      batch.pipelines.push(create(PipelineRefSchema, pipeline));
    }
    batch.pipelineOf.push(pipelineKeys.indexOf(pipelineKey));
    fingerprints.push(
      recordFingerprint({
        tenantId,
        sourceType: view.slice(RECORD_FIELD.sourceType),
        sourceId: view.slice(RECORD_FIELD.sourceId),
        dataId: record.enrichment?.dataId ?? view.slice(RECORD_FIELD.dataId),
        versionUs: batch.versionsUs[index]!,
        contentHash: Buffer.from(contentHashAt(batch, index)),
        pipelineVersion: version,
      }),
    );
    if (record.enrichment !== undefined)
      batch.enrichments.push(create(EnrichmentSchema, { ...record.enrichment, index }));
    if (record.dead !== undefined)
      batch.deadLabels.push(create(DeadLabelSchema, { index, stage: "enricher", ...record.dead }));
  });
  batch.fingerprints = Buffer.concat(fingerprints);
  batch.origin = create(RawOriginSchema, sample.origin ?? { epoch: 1n, sequence: ++lastRawSequence });
  return batch;
}

/** A valid batch as the gateway publishes it, with one call per tenant. */
export function sampleRawBatch(sample: SampleBatch): RecordBatch {
  const acceptedAtUs = sample.acceptedAtUs ?? Date.now() * 1000;
  const tenants = [...new Set(sample.records.map(tenantOf))];
  const calls = tenants.map(
    (tenantId): MessageInitShape<typeof CallSchema> => ({
      tenantId,
      receiptId: sampleUuid(),
      traceparent: sample.traceparent ?? "",
    }),
  );
  const records = sample.records.map((record) => encode(record, acceptedAtUs));
  return create(RecordBatchSchema, {
    envelopeVersion: ENVELOPE_VERSION,
    batchId: sample.batchId ?? randomBytes(UUID_BYTES),
    acceptedAtUs: BigInt(acceptedAtUs),
    partition: sample.partition ?? 0,
    acceptedCount: records.length,
    calls,
    originals: records.map(({ original }) => original),
    callOf: sample.records.map((record) => tenants.indexOf(tenantOf(record))),
    uuids: Buffer.concat(records.map(({ uuid }) => uuid)),
    contentHashes: Buffer.concat(records.map(({ hash }) => hash)),
    versionsUs: records.map(({ versionUs }) => BigInt(versionUs)),
  });
}

/** The batch as the gateway publishes it where it knows the records at these indices (ascending). */
export function reduceSample(batch: RecordBatch, known: readonly number[]): RecordBatch {
  const kept = batch.originals.map((_, index) => index).filter((index) => !known.includes(index));
  const column = <T>(values: readonly T[], of: readonly number[]): T[] => of.map((index) => values[index]!);
  const uuids = (of: readonly number[]): Buffer => Buffer.concat(of.map((index) => uuidAt(batch, index)));
  const view = new RecordView();
  const dropped: DroppedCount[] = [];
  const droppedSourceOf = known.map((index) => {
    view.read(batch.originals[index]!);
    const { tenantId } = callAt(batch, index);
    const sourceType = view.text(RECORD_FIELD.sourceType);
    const sourceId = view.text(RECORD_FIELD.sourceId);
    const source = [tenantId, sourceType, sourceId].join();
    let place = dropped.findIndex((one) => [one.tenantId, one.sourceType, one.sourceId].join() === source);
    if (place < 0) place = dropped.push(create(DroppedCountSchema, { tenantId, sourceType, sourceId })) - 1;
    dropped[place]!.count++;
    return place;
  });
  return {
    ...batch,
    envelopeVersion: REDUCED_ENVELOPE_VERSION,
    originals: column(batch.originals, kept),
    callOf: column(batch.callOf, kept),
    uuids: uuids(kept),
    contentHashes: Buffer.concat(kept.map((index) => contentHashAt(batch, index))),
    versionsUs: column(batch.versionsUs, kept),
    ordinals: kept,
    dropped,
    droppedUuids: uuids(known),
    droppedCallOf: column(batch.callOf, known),
    droppedSourceOf,
  };
}

/** The bytes of a batch as they travel. */
export function encodeSample(batch: RecordBatch): Uint8Array {
  return toBinary(RecordBatchSchema, batch);
}

function tenantOf(record: SampleRecord): string {
  return record.tenantId ?? "acme";
}

function encode(record: SampleRecord, acceptedAtUs: number) {
  const versionUs = record.updatedAtUs ?? acceptedAtUs;
  const uuid = record.uuid === undefined ? sampleUuid() : parseUuid(record.uuid);
  if (uuid === undefined) throw new Error(`not a uuid: ${record.uuid}`);
  const { enrichment, dead, pipelineVersion, updatedAtUs, tenantId, ...sent } = record;
  const original = Buffer.from(
    toBinary(
      IngestionDataSchema,
      create(IngestionDataSchema, {
        sourceType: "forum",
        sourceId: "town-square",
        dataId: `post-${++lastDataId}`,
        data: "Good morning.",
        ...sent,
        updatedAt: {
          seconds: BigInt(Math.floor(versionUs / 1e6)),
          nanos: (((versionUs % 1e6) + 1e6) % 1e6) * 1000,
        },
      }),
    ),
  );
  const view = new RecordView().read(original);
  const hash = contentHash(view);
  return { original, uuid, hash, versionUs };
}

/** A uuid of version 7 of this moment. */
function sampleUuid(): Buffer {
  const uuid = randomBytes(UUID_BYTES);
  uuid.writeUIntBE(Date.now(), 0, 6);
  uuid[6] = (uuid[6]! & 0x0f) | 0x70;
  uuid[8] = (uuid[8]! & 0x3f) | 0x80;
  return uuid;
}
