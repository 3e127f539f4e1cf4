import { ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import { packBatch } from "@chowhound/shared/batch/pack-batch";
import type { AcceptedRecord } from "@chowhound/shared/record/validate-record";
import { WireWriter } from "@chowhound/shared/record/wire-writer";
import type { CallOrigin } from "./batcher.ts";
import type { RawNumber } from "./raw-numbers.ts";

// The numbers of the fields on the wire; proto/chowhound/internal/v1/record_batch.proto is their source.
const BATCH = {
  envelopeVersion: 1,
  batchId: 2,
  acceptedAtUs: 3,
  partition: 4,
  acceptedCount: 5,
  calls: 6,
  originals: 10,
  callOf: 11,
  uuids: 12,
  contentHashes: 13,
  versionsUs: 14,
  acknowledged: 18,
} as const;
const RAW_ORIGIN = { epoch: 1, sequence: 2 } as const;
const CALL = { tenantId: 1, receiptId: 2, traceparent: 3, tracestate: 4 } as const;

/** What a batch holds as it leaves the gateway. */
export interface NewBatch {
  /** 16 bytes. */
  batchId: Uint8Array;
  /** Microseconds since 1970. */
  acceptedAtUs: number;
  partition: number;
  calls: readonly CallOrigin[];
  records: readonly AcceptedRecord[];
  /** The index in calls of each record's call. */
  callOf: readonly number[];
  /** The highest number of RAW that had been acknowledged by now; undefined where none has. */
  acknowledged?: RawNumber | undefined;
}

/** One batch after the other: a large buffer for each would have V8 collect all of its heap every few dozen batches. */
const whole = new WireWriter();
/** A call, or a column. */
const inner = new WireWriter();

/** The message to publish: the encoded RecordBatch, byte for byte what the protobuf library writes, packed where that pays. */
export function encodeBatch(batch: NewBatch): Uint8Array {
  writeBatch(whole.clear(), batch);
  const { written } = whole;
  const message = packBatch(written, batch.partition);
  return message === written ? Buffer.from(written) : message;
}

function writeBatch(out: WireWriter, batch: NewBatch): void {
  const { calls, records, callOf } = batch;
  out.integer(BATCH.envelopeVersion, ENVELOPE_VERSION);
  out.bytes(BATCH.batchId, batch.batchId);
  out.integer(BATCH.acceptedAtUs, batch.acceptedAtUs);
  out.integer(BATCH.partition, batch.partition);
  out.integer(BATCH.acceptedCount, records.length);
  for (const call of calls) out.element(BATCH.calls, encodeCall(call));
  for (const { bytes } of records) out.element(BATCH.originals, bytes);
  inner.clear();
  for (const index of callOf) inner.varint(index);
  out.bytes(BATCH.callOf, inner.written);
  inner.clear();
  for (const { uuid } of records) inner.raw(uuid);
  out.bytes(BATCH.uuids, inner.written);
  inner.clear();
  for (const { contentHash } of records) inner.raw(contentHash);
  out.bytes(BATCH.contentHashes, inner.written);
  inner.clear();
  for (const { versionUs } of records) inner.varint(versionUs);
  out.bytes(BATCH.versionsUs, inner.written);
  if (batch.acknowledged !== undefined) {
    inner.clear();
    inner.integer(RAW_ORIGIN.epoch, Number(batch.acknowledged.epoch));
    inner.integer(RAW_ORIGIN.sequence, batch.acknowledged.sequence);
    out.bytes(BATCH.acknowledged, inner.written);
  }
}

function encodeCall({ tenantId, receiptId, traceparent, tracestate }: CallOrigin): Buffer {
  inner.clear();
  inner.text(CALL.tenantId, tenantId);
  inner.bytes(CALL.receiptId, receiptId);
  inner.text(CALL.traceparent, traceparent);
  inner.text(CALL.tracestate, tracestate);
  return inner.written;
}
