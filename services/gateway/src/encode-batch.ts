import { ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import { HASH_BYTES } from "@chowhound/shared/record/content-hash";
import { UUID_BYTES } from "@chowhound/shared/record/uuid";
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

/** A call, or a column. */
const inner = new WireWriter();

/**
 * The encoded RecordBatch, byte for byte what the protobuf library writes.
 *
 * @param sizeBytes about how large it becomes
 */
export function encodeBatch(batch: NewBatch, sizeBytes: number): Buffer {
  const { calls, records, callOf } = batch;
  const out = new WireWriter(sizeBytes);
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
  out.bytes(
    BATCH.uuids,
    column(records, UUID_BYTES, ({ uuid }) => uuid),
  );
  out.bytes(
    BATCH.contentHashes,
    column(records, HASH_BYTES, ({ contentHash }) => contentHash),
  );
  inner.clear();
  for (const { versionUs } of records) inner.varint(versionUs);
  out.bytes(BATCH.versionsUs, inner.written);
  if (batch.acknowledged !== undefined) {
    inner.clear();
    inner.integer(RAW_ORIGIN.epoch, Number(batch.acknowledged.epoch));
    inner.integer(RAW_ORIGIN.sequence, batch.acknowledged.sequence);
    out.bytes(BATCH.acknowledged, inner.written);
  }
  return out.written;
}

function encodeCall({ tenantId, receiptId, traceparent, tracestate }: CallOrigin): Buffer {
  inner.clear();
  inner.text(CALL.tenantId, tenantId);
  inner.bytes(CALL.receiptId, receiptId);
  inner.text(CALL.traceparent, traceparent);
  inner.text(CALL.tracestate, tracestate);
  return inner.written;
}

function column(
  records: readonly AcceptedRecord[],
  width: number,
  pick: (record: AcceptedRecord) => Uint8Array,
): Buffer {
  const bytes = Buffer.allocUnsafe(width * records.length);
  for (let i = 0; i < records.length; i++) bytes.set(pick(records[i]!), width * i);
  return bytes;
}
