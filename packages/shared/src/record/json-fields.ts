import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { LIMITS } from "./limits.ts";
import { RECORD_FIELD } from "./record-view.ts";
import { StructError } from "./struct-json.ts";
import { WIRE_BYTES } from "./wire.ts";

const VALUE_TAG = { null: 0x08, number: 0x11, string: 0x1a, bool: 0x20, struct: 0x2a, list: 0x32 } as const;
const ITEM_TAG = 0x0a;
const KEY_TAG = 0x0a;
const MAP_VALUE_TAG = 0x12;

/** Encoding is synchronous, so the room for one record is enough for all. */
const room = Buffer.allocUnsafe(LIMITS.recordBytes);
let start = room.length;

/**
 * Encodes the two fields of a record that hold as much as their producer likes, metadata and attributes. It goes from the end
 * to the start: so a length is known when it is to be written, and what is too large is noticed without being built.
 * The protobuf library needs dozens of times as long, and loses the key `__proto__`.
 *
 * The result is overwritten by the next call. Throws StructError "too_deep", or RangeError beyond `LIMITS.recordBytes`.
 */
export function encodeOpenFields(
  metadata: JsonObject | undefined,
  attributes: Record<string, string>,
): Buffer {
  start = room.length;
  for (const key of Object.keys(attributes)) {
    const end = start;
    writeText(MAP_VALUE_TAG, attributes[key]!);
    writeText(KEY_TAG, key);
    writeHead((RECORD_FIELD.attributes << 3) | WIRE_BYTES, end - start);
  }
  if (metadata !== undefined) {
    const end = start;
    writeStruct(metadata, LIMITS.metadataDepth);
    writeHead((RECORD_FIELD.metadata << 3) | WIRE_BYTES, end - start);
  }
  return room.subarray(start);
}

function writeStruct(struct: JsonObject, depthLeft: number): void {
  if (depthLeft === 0) throw new StructError("too_deep");
  const keys = Object.keys(struct);
  for (let i = keys.length - 1; i >= 0; i--) {
    const end = start;
    writeValue(struct[keys[i]!]!, depthLeft);
    writeHead(MAP_VALUE_TAG, end - start);
    writeText(KEY_TAG, keys[i]!);
    writeHead(ITEM_TAG, end - start);
  }
}

function writeList(list: readonly JsonValue[], depthLeft: number): void {
  if (depthLeft === 0) throw new StructError("too_deep");
  for (let i = list.length - 1; i >= 0; i--) {
    const end = start;
    writeValue(list[i]!, depthLeft);
    writeHead(ITEM_TAG, end - start);
  }
}

function writeValue(value: JsonValue, depthLeft: number): void {
  if (typeof value === "string") {
    writeText(VALUE_TAG.string, value);
  } else if (typeof value === "number") {
    take(8);
    room.writeDoubleLE(value, start);
    writeByte(VALUE_TAG.number);
  } else if (typeof value === "boolean") {
    writeHead(VALUE_TAG.bool, value ? 1 : 0);
  } else if (value === null) {
    writeHead(VALUE_TAG.null, 0);
  } else {
    const end = start;
    if (Array.isArray(value)) {
      writeList(value, depthLeft - 1);
      writeHead(VALUE_TAG.list, end - start);
    } else {
      writeStruct(value, depthLeft - 1);
      writeHead(VALUE_TAG.struct, end - start);
    }
  }
}

function writeText(tag: number, text: string): void {
  const length = Buffer.byteLength(text);
  take(length);
  room.write(text, start);
  writeHead(tag, length);
}

/** A tag below 128 and, after it, a varint: a length, or a value. */
function writeHead(tag: number, varint: number): void {
  let size = 1;
  for (let rest = varint >>> 7; rest > 0; rest >>>= 7) size++;
  take(size);
  for (let i = 0, rest = varint; i < size; i++, rest >>>= 7) {
    room[start + i] = i === size - 1 ? rest : (rest & 0x7f) | 0x80;
  }
  writeByte(tag);
}

function writeByte(byte: number): void {
  take(1);
  room[start] = byte;
}

function take(bytes: number): void {
  start -= bytes;
  if (start < 0) throw new RangeError("the record is too large");
}
