import { create } from "@bufbuild/protobuf";
import {
  callAt,
  contentHashAt,
  fingerprintAt,
  ordinalAt,
  uuidAt,
} from "@chowhound/shared/batch/batch-columns";
import { type LandedRecord, readLanded } from "@chowhound/shared/batch/landed-record";
import {
  type Call,
  type DeadLabel,
  DeadLabelSchema,
  type Enrichment,
  type RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";
import { StructError } from "@chowhound/shared/record/struct-json";
import { WireError } from "@chowhound/shared/record/wire";
import type { Candidate } from "./settle-records.ts";

/** One record on its way into the table. */
export interface IncomingRecord extends Candidate, LandedRecord {
  batch: RecordBatch;
  /** Its index in the batch's columns, and its place in the batch as the gateway made it. */
  index: number;
  ordinal: number;
  call: Call;
  uuidBytes: Uint8Array;
  fingerprint: Uint8Array;
  original: Uint8Array;
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
  const landed = readLanded(new RecordView().read(original), changed);
  const call = callAt(batch, index);
  const uuidBytes = uuidAt(batch, index);
  const { sourceType, sourceId, dataId } = landed;
  return {
    ...landed,
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
