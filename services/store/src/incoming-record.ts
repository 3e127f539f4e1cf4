import { create } from "@bufbuild/protobuf";
import {
  callAt,
  contentHashAt,
  fingerprintAt,
  ordinalAt,
  uuidAt,
} from "@chowhound/shared/batch/batch-columns";
import {
  type Call,
  type DeadLabel,
  DeadLabelSchema,
  type Enrichment,
  type RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { attributesToJson } from "@chowhound/shared/record/attributes-json";
import { LIMITS } from "@chowhound/shared/record/limits";
import { timestampUs } from "@chowhound/shared/record/record-version";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";
import { StructError, structToJson } from "@chowhound/shared/record/struct-json";
import { WireError } from "@chowhound/shared/record/wire";
import type { Candidate } from "./settle-records.ts";

/** One record on its way into the table: the original with what the pipeline changed laid over it. */
export interface IncomingRecord extends Candidate {
  batch: RecordBatch;
  /** Its index in the batch's columns, and its place in the batch as the gateway made it. */
  index: number;
  ordinal: number;
  call: Call;
  uuidBytes: Uint8Array;
  fingerprint: Uint8Array;
  original: Uint8Array;
  sourceType: Buffer;
  sourceId: Buffer;
  dataId: Buffer;
  data: Buffer;
  metadataJson: string;
  metadataType: Buffer;
  lang: Buffer;
  attributesJson: string;
  rawPayload: { content: Buffer; contentType: Buffer } | undefined;
  createdAtUs: number | undefined;
  updatedAtUs: number | undefined;
}

/** A record that is not to become a row, with the reason. */
export interface DeadRecord {
  batch: RecordBatch;
  index: number;
  ordinal: number;
  call: Call;
  uuidBytes: Uint8Array;
  original: Uint8Array;
  sourceType: string;
  sourceId: string;
  dataId: string;
  pipelineVersion: bigint;
  stage: string;
  reason: string;
  /** For a person; holds no record contents. */
  detail: string;
}

/** Splits a batch into what is to become rows and what is labelled dead. */
export function readBatch(batch: RecordBatch): { records: IncomingRecord[]; dead: DeadRecord[] } {
  const enrichments = new Map<number, Enrichment>();
  for (const enrichment of batch.enrichments) enrichments.set(enrichment.index, enrichment);
  const labels = new Map<number, DeadLabel>();
  for (const label of batch.deadLabels) labels.set(label.index, label);
  const records: IncomingRecord[] = [];
  const dead: DeadRecord[] = [];
  for (let index = 0; index < batch.originals.length; index++) {
    const label = labels.get(index);
    if (label !== undefined) {
      dead.push(readDead(batch, index, label));
      continue;
    }
    try {
      records.push(readRecord(batch, index, enrichments.get(index)));
    } catch (error) {
      if (!(error instanceof WireError || error instanceof StructError)) throw error;
      dead.push(readDead(batch, index, unreadable(index, error)));
    }
  }
  return { records, dead };
}

/** The door has read the record, so this came in behind it, or from software that reads otherwise. */
function unreadable(index: number, error: Error): DeadLabel {
  const detail = `not an encoded chowhound.v1.IngestionData: ${error.message}`;
  return create(DeadLabelSchema, { index, stage: "store", reason: "undecodable_record", detail });
}

/** The same record as a dead letter of the store. */
export function toDead(record: IncomingRecord, reason: string, detail: string): DeadRecord {
  return {
    batch: record.batch,
    index: record.index,
    ordinal: record.ordinal,
    call: record.call,
    uuidBytes: record.uuidBytes,
    original: record.original,
    sourceType: record.sourceType.toString(),
    sourceId: record.sourceId.toString(),
    dataId: record.dataId.toString(),
    pipelineVersion: record.pipelineVersion,
    stage: "store",
    reason,
    detail,
  };
}

function readRecord(batch: RecordBatch, index: number, changed: Enrichment | undefined): IncomingRecord {
  const original = batch.originals[index]!;
  const view = new RecordView().read(original);
  const field = (value: string | undefined, number: Parameters<RecordView["slice"]>[0]): Buffer =>
    value === undefined ? view.slice(number) : Buffer.from(value);
  const call = callAt(batch, index);
  const uuidBytes = uuidAt(batch, index);
  const sourceType = view.slice(RECORD_FIELD.sourceType);
  const sourceId = view.slice(RECORD_FIELD.sourceId);
  const dataId = field(changed?.dataId, RECORD_FIELD.dataId);
  const createdAt = view.timestamp(RECORD_FIELD.createdAt);
  const updatedAt = view.timestamp(RECORD_FIELD.updatedAt);
  const metadata = view.slice(RECORD_FIELD.metadata);
  return {
    batch,
    index,
    ordinal: ordinalAt(batch, index),
    call,
    tenantId: call.tenantId,
    // No identifier holds a control character, so the separator can't be part of one.
    key: `${call.tenantId}\0${sourceType.toString("latin1")}\0${sourceId.toString("latin1")}\0${dataId.toString("latin1")}`,
    uuid: Buffer.from(uuidBytes).toString("hex"),
    uuidBytes,
    versionUs: batch.versionsUs[index]!,
    contentHash: contentHashAt(batch, index),
    pipelineVersion: batch.pipelines[batch.pipelineOf[index]!]!.version,
    fingerprint: fingerprintAt(batch, index),
    original,
    sourceType,
    sourceId,
    dataId,
    data: field(changed?.data, RECORD_FIELD.data),
    metadataJson:
      changed?.metadataJson ?? (metadata.length === 0 ? "{}" : structToJson(metadata, LIMITS.metadataDepth)),
    metadataType: field(changed?.metadataType, RECORD_FIELD.metadataType),
    lang: field(changed?.lang, RECORD_FIELD.lang),
    attributesJson: changed?.attributesJson ?? attributesToJson(view.attributes()),
    rawPayload: changed?.dropRawPayload ? undefined : view.rawPayload(),
    createdAtUs: createdAt === undefined ? undefined : timestampUs(createdAt),
    updatedAtUs: updatedAt === undefined ? undefined : timestampUs(updatedAt),
  };
}

function readDead(batch: RecordBatch, index: number, label: DeadLabel): DeadRecord {
  const original = batch.originals[index]!;
  const pipeline = batch.pipelines[batch.pipelineOf[index]!];
  return {
    batch,
    index,
    ordinal: ordinalAt(batch, index),
    call: callAt(batch, index),
    uuidBytes: uuidAt(batch, index),
    original,
    ...readIdentity(original),
    pipelineVersion: pipeline?.version ?? 0n,
    stage: label.stage,
    reason: label.reason,
    detail: label.detail,
  };
}

/** What a dead record says it is; empty where its bytes can't be read. */
function readIdentity(original: Uint8Array): { sourceType: string; sourceId: string; dataId: string } {
  try {
    const view = new RecordView().read(original);
    return {
      sourceType: view.text(RECORD_FIELD.sourceType),
      sourceId: view.text(RECORD_FIELD.sourceId),
      dataId: view.text(RECORD_FIELD.dataId),
    };
  } catch {
    return { sourceType: "", sourceId: "", dataId: "" };
  }
}
