import { ENVELOPE_VERSION, REDUCED_ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import { packBatch } from "@chowhound/shared/batch/pack-batch";
import type { AcceptedRecord } from "@chowhound/shared/record/validate-record";
import { WireWriter } from "@chowhound/shared/record/wire-writer";
import type { CallOrigin } from "./batcher.ts";
import { type EnteringRecord, isKnown, type KnownRecord } from "./known-record.ts";
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
  ordinals: 15,
  acknowledged: 18,
  dropped: 30,
  droppedUuids: 31,
  droppedCallOf: 32,
  droppedSourceOf: 34,
} as const;
const DROPPED_COUNT = { tenantId: 1, sourceType: 2, sourceId: 3, count: 4 } as const;
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
  /** Of known ones no more goes in than whose they are. */
  records: readonly EnteringRecord[];
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
  // Uuids don't become smaller.
  const { partition, records } = batch;
  const message = records.every(isKnown)
    ? written
    : packBatch(written, { partition, acceptedCount: records.length });
  return message === written ? Buffer.from(written) : message;
}

function writeBatch(out: WireWriter, batch: NewBatch): void {
  const { calls, records } = batch;
  const { kept, known } = part(batch);
  const isReduced = known.records.length > 0;
  out.integer(BATCH.envelopeVersion, isReduced ? REDUCED_ENVELOPE_VERSION : ENVELOPE_VERSION);
  out.bytes(BATCH.batchId, batch.batchId);
  out.integer(BATCH.acceptedAtUs, batch.acceptedAtUs);
  out.integer(BATCH.partition, batch.partition);
  out.integer(BATCH.acceptedCount, records.length);
  for (const call of calls) out.element(BATCH.calls, encodeCall(call));
  for (const { bytes } of kept.records) out.element(BATCH.originals, bytes);
  out.bytes(BATCH.callOf, encodeColumn(kept.callOf));
  out.bytes(BATCH.uuids, encodeUuids(kept.records));
  inner.clear();
  for (const { contentHash } of kept.records) inner.raw(contentHash);
  out.bytes(BATCH.contentHashes, inner.written);
  inner.clear();
  for (const { versionUs } of kept.records) inner.varint(versionUs);
  out.bytes(BATCH.versionsUs, inner.written);
  if (isReduced) out.bytes(BATCH.ordinals, encodeColumn(kept.places));
  if (batch.acknowledged !== undefined) {
    inner.clear();
    inner.integer(RAW_ORIGIN.epoch, Number(batch.acknowledged.epoch));
    inner.integer(RAW_ORIGIN.sequence, batch.acknowledged.sequence);
    out.bytes(BATCH.acknowledged, inner.written);
  }
  if (isReduced) writeDropped(out, known, calls);
}

/** Records of a batch that go the same way. */
interface Part<R> {
  records: readonly R[];
  callOf: readonly number[];
  /** In the batch. */
  places: readonly number[];
}

function part({ records, callOf }: NewBatch): { kept: Part<AcceptedRecord>; known: Part<KnownRecord> } {
  const kept = { records: [] as AcceptedRecord[], callOf: [] as number[], places: [] as number[] };
  const known = { records: [] as KnownRecord[], callOf: [] as number[], places: [] as number[] };
  for (let place = 0; place < records.length; place++) {
    const record = records[place]!;
    let way: typeof kept | typeof known;
    if (isKnown(record)) {
      way = known;
      known.records.push(record);
    } else {
      way = kept;
      kept.records.push(record);
    }
    way.callOf.push(callOf[place]!);
    way.places.push(place);
  }
  return { kept, known };
}

/** What is left of the known ones: how many of which source, and whose. */
function writeDropped(
  out: WireWriter,
  { records, callOf }: Part<KnownRecord>,
  calls: readonly CallOrigin[],
): void {
  const sources = new Map<string, { place: number; call: CallOrigin; record: KnownRecord; count: number }>();
  const sourceOf = records.map((record, index) => {
    const call = calls[callOf[index]!]!;
    const key = `${call.tenantId}\0${record.writtenSource}`;
    const source = sources.get(key) ?? { place: sources.size, call, record, count: 0 };
    if (source.count++ === 0) sources.set(key, source);
    return source.place;
  });
  for (const { call, record, count } of sources.values()) {
    inner.clear();
    inner.text(DROPPED_COUNT.tenantId, call.tenantId);
    inner.bytes(DROPPED_COUNT.sourceType, record.sourceType);
    inner.bytes(DROPPED_COUNT.sourceId, record.sourceId);
    inner.integer(DROPPED_COUNT.count, count);
    out.element(BATCH.dropped, inner.written);
  }
  out.bytes(BATCH.droppedUuids, encodeUuids(records));
  out.bytes(BATCH.droppedCallOf, encodeColumn(callOf));
  out.bytes(BATCH.droppedSourceOf, encodeColumn(sourceOf));
}

function encodeUuids(records: readonly EnteringRecord[]): Buffer {
  inner.clear();
  for (const { uuid } of records) inner.raw(uuid);
  return inner.written;
}

function encodeColumn(values: readonly number[]): Buffer {
  inner.clear();
  for (const value of values) inner.varint(value);
  return inner.written;
}

function encodeCall({ tenantId, receiptId, traceparent, tracestate }: CallOrigin): Buffer {
  inner.clear();
  inner.text(CALL.tenantId, tenantId);
  inner.bytes(CALL.receiptId, receiptId);
  inner.text(CALL.traceparent, traceparent);
  inner.text(CALL.tracestate, tracestate);
  return inner.written;
}
