import { isUtf8 } from "node:buffer";
import { fieldNumber, WIRE_BYTES, WIRE_VARINT, WireError, WireReader } from "./wire.ts";

/** The numbers of IngestionData's fields on the wire; proto/chowhound/v1/ingestion_data.proto is their source. */
export const RECORD_FIELD = {
  uuid: 1,
  tenantId: 2,
  sourceType: 3,
  sourceId: 4,
  dataId: 5,
  data: 6,
  metadata: 7,
  metadataType: 8,
  lang: 9,
  attributes: 10,
  createdAt: 11,
  updatedAt: 12,
  rawPayload: 13,
} as const;

export type FieldNumber = (typeof RECORD_FIELD)[keyof typeof RECORD_FIELD];

/** The string fields, as the protobuf field names that people read in messages. */
export const STRING_FIELDS = [
  [RECORD_FIELD.uuid, "uuid"],
  [RECORD_FIELD.tenantId, "tenant_id"],
  [RECORD_FIELD.sourceType, "source_type"],
  [RECORD_FIELD.sourceId, "source_id"],
  [RECORD_FIELD.dataId, "data_id"],
  [RECORD_FIELD.data, "data"],
  [RECORD_FIELD.metadataType, "metadata_type"],
  [RECORD_FIELD.lang, "lang"],
] as const;

const LAST_FIELD = 13;
const EMPTY = Buffer.alloc(0);

/** A time as it stands on the wire. */
export interface WireTimestamp {
  /** Exact from -2^53 to 2^53, rounded beyond: that is no time that anybody means. */
  seconds: number;
  nanos: number;
}

/**
 * Looks at one encoded IngestionData without decoding it: notes where each field lies and reads on request.
 * One view is read over many records, one after the other; what it returned before stays valid.
 *
 * Fields that this version doesn't know are skipped and stay in the bytes.
 */
export class RecordView {
  bytes: Buffer = EMPTY;
  /**
   * A message field came more than once. Protobuf merges such fields; the view sees only the last. Decode and encode
   * the record with the protobuf library before using it.
   */
  repeatsMessageField = false;
  readonly #starts = new Int32Array(LAST_FIELD + 1);
  readonly #ends = new Int32Array(LAST_FIELD + 1);
  /** Two a piece: start and end. */
  readonly #attributes: number[] = [];
  readonly #pair: FieldPair = { start1: 0, end1: 0, start2: 0, end2: 0 };

  /** Reads the record in `bytes`. Throws WireError where it is not a well-formed message. */
  read(bytes: Uint8Array): this {
    this.bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.repeatsMessageField = false;
    this.#starts.fill(-1);
    this.#attributes.length = 0;
    const reader = new WireReader(bytes);
    while (!reader.done) {
      const tag = reader.uint32();
      if ((tag & 7) === WIRE_BYTES && tag >>> 3 <= LAST_FIELD && tag >>> 3 > 0) {
        const length = reader.length();
        this.#note(tag >>> 3, reader.pos, reader.pos + length);
        reader.pos += length;
        continue;
      }
      const number = fieldNumber(tag);
      if (number <= LAST_FIELD) throw new WireError(`field ${number} has the wire type ${tag & 7}, not 2`);
      reader.skip(tag & 7, number);
    }
    return this;
  }

  #note(number: number, start: number, end: number): void {
    if (number === RECORD_FIELD.attributes) {
      this.#attributes.push(start, end);
      return;
    }
    if (this.#starts[number]! >= 0 && isMessageField(number)) this.repeatsMessageField = true;
    this.#starts[number] = start;
    this.#ends[number] = end;
  }

  has(field: FieldNumber): boolean {
    return this.#starts[field]! >= 0;
  }

  byteLength(field: FieldNumber): number {
    const start = this.#starts[field]!;
    return start < 0 ? 0 : this.#ends[field]! - start;
  }

  /** Where the field's value begins in `bytes`; `end` too is 0 where it is absent. */
  start(field: FieldNumber): number {
    return Math.max(this.#starts[field]!, 0);
  }

  end(field: FieldNumber): number {
    return this.#starts[field]! < 0 ? 0 : this.#ends[field]!;
  }

  /** The field's bytes, not copied; empty where it is absent. */
  slice(field: FieldNumber): Buffer {
    const start = this.#starts[field]!;
    return start < 0 ? EMPTY : this.bytes.subarray(start, this.#ends[field]!);
  }

  /** A string field; "" where it is absent. */
  text(field: FieldNumber): string {
    const start = this.#starts[field]!;
    return start < 0 ? "" : this.bytes.toString("utf8", start, this.#ends[field]!);
  }

  isValidUtf8(field: FieldNumber): boolean {
    return isUtf8(this.slice(field));
  }

  get attributeCount(): number {
    return this.#attributes.length / 2;
  }

  /**
   * Where in `bytes` key (1) and value (2) of an attribute lie; attributes are in the order of the wire. The object is
   * used again by the next call. Throws WireError.
   */
  attributeAt(index: number): FieldPair {
    return locateTwoFields(
      this.bytes,
      this.#attributes[2 * index]!,
      this.#attributes[2 * index + 1]!,
      this.#pair,
    );
  }

  /** The attributes; of a key that came twice the last value counts. */
  attributes(): Record<string, string> {
    const result: Record<string, string> = Object.create(null);
    for (let index = 0; index < this.attributeCount; index++) {
      const { start1, end1, start2, end2 } = this.attributeAt(index);
      result[this.bytes.toString("utf8", start1, end1)] = this.bytes.toString("utf8", start2, end2);
    }
    return result;
  }

  /** A timestamp field; undefined where it is absent. Throws WireError. */
  timestamp(field: typeof RECORD_FIELD.createdAt | typeof RECORD_FIELD.updatedAt): WireTimestamp | undefined {
    const start = this.#starts[field]!;
    if (start < 0) return undefined;
    const reader = new WireReader(this.bytes, start, this.#ends[field]!);
    let seconds = 0;
    let nanos = 0;
    while (!reader.done) {
      const tag = reader.uint32();
      const number = fieldNumber(tag);
      const wireType = tag & 7;
      if (wireType === WIRE_VARINT && number === 1) seconds = reader.int64();
      else if (wireType === WIRE_VARINT && number === 2) nanos = reader.int32();
      else reader.skip(wireType, number);
    }
    return { seconds, nanos };
  }

  /** The raw payload, not copied; undefined where it is absent. Throws WireError. */
  rawPayload(): { content: Buffer; contentType: Buffer } | undefined {
    const start = this.#starts[RECORD_FIELD.rawPayload]!;
    if (start < 0) return undefined;
    const end = this.#ends[RECORD_FIELD.rawPayload]!;
    const { start1, end1, start2, end2 } = locateTwoFields(this.bytes, start, end, this.#pair);
    return { content: this.bytes.subarray(start1, end1), contentType: this.bytes.subarray(start2, end2) };
  }
}

/** Where two fields of a message lie; start and end are the same where one is absent. */
export interface FieldPair {
  start1: number;
  end1: number;
  start2: number;
  end2: number;
}

/** Finds the length-delimited fields 1 and 2 of a message, the last where one is repeated. */
function locateTwoFields(bytes: Buffer, start: number, end: number, found: FieldPair): FieldPair {
  found.start1 = found.end1 = found.start2 = found.end2 = start;
  const reader = new WireReader(bytes, start, end);
  while (!reader.done) {
    const tag = reader.uint32();
    const number = fieldNumber(tag);
    if ((tag & 7) !== WIRE_BYTES || number > 2) {
      reader.skip(tag & 7, number);
      continue;
    }
    const length = reader.length();
    const at = reader.pos;
    reader.pos += length;
    if (number === 1) {
      found.start1 = at;
      found.end1 = reader.pos;
    } else {
      found.start2 = at;
      found.end2 = reader.pos;
    }
  }
  return found;
}

/**
 * Where the records of an IngestRequest or IngestStreamRequest lie: their bytes, not copied, and the batch number.
 * It stops at the first record beyond `maxRecords`: then there is one more, and what follows has not been looked at.
 * Throws WireError where the bytes are not a well-formed request.
 */
export function splitRequest(
  request: Uint8Array,
  maxRecords: number,
): { records: Uint8Array[]; batchNumber: bigint } {
  const records: Uint8Array[] = [];
  let batchNumber = 0n;
  const reader = new WireReader(request);
  while (!reader.done && records.length <= maxRecords) {
    const tag = reader.uint32();
    const number = fieldNumber(tag);
    const wireType = tag & 7;
    if (number === 1 && wireType === WIRE_BYTES) {
      const length = reader.length();
      records.push(request.subarray(reader.pos, reader.pos + length));
      reader.pos += length;
    } else if (number === 2 && wireType === WIRE_VARINT) {
      batchNumber = reader.uint64();
    } else {
      if (number === 1) throw new WireError(`the field records has the wire type ${wireType}, not 2`);
      reader.skip(wireType, number);
    }
  }
  return { records, batchNumber };
}

function isMessageField(number: number): boolean {
  return (
    number === RECORD_FIELD.metadata ||
    number === RECORD_FIELD.createdAt ||
    number === RECORD_FIELD.updatedAt ||
    number === RECORD_FIELD.rawPayload
  );
}
