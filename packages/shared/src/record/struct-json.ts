import { isUtf8 } from "node:buffer";
import { fieldNumber, WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT, WireError, WireReader } from "./wire.ts";

/** What keeps a google.protobuf.Struct from being a JSON object that PostgreSQL can hold. */
export type StructProblem =
  | "too_deep"
  | "not_finite"
  | "nul_character"
  | "invalid_utf8"
  | "empty_value"
  /** A message field came more than once: decode and encode with the protobuf library first. */
  | "repeated_field";

export class StructError extends Error {
  override name = "StructError";
  readonly problem: StructProblem;

  constructor(problem: StructProblem) {
    super(problem);
    this.problem = problem;
  }
}

const VALUE = { null: 1, number: 2, string: 3, bool: 4, struct: 5, list: 6 } as const;

/**
 * The canonical JSON of an encoded google.protobuf.Struct: keys sorted by UTF-16 code units, no spaces, numbers as
 * JSON.stringify writes them. Equal structs give equal text, however a producer ordered their fields.
 *
 * Throws StructError, or WireError where the bytes are not well formed.
 */
export function structToJson(bytes: Buffer, maxDepth: number): string {
  return readStruct(bytes, 0, bytes.length, maxDepth);
}

function readStruct(bytes: Buffer, start: number, end: number, depthLeft: number): string {
  if (depthLeft === 0) throw new StructError("too_deep");
  const reader = new WireReader(bytes, start, end);
  const keys: string[] = [];
  const values = new Map<string, string>();
  while (!reader.done) {
    const tag = reader.uint32();
    const number = fieldNumber(tag);
    if (number !== 1 || (tag & 7) !== WIRE_BYTES) {
      reader.skip(tag & 7, number);
      continue;
    }
    const entryEnd = reader.length() + reader.pos;
    let key = "";
    let value: string | undefined;
    while (reader.pos < entryEnd) {
      const entryTag = reader.uint32();
      const entryField = fieldNumber(entryTag);
      if ((entryTag & 7) !== WIRE_BYTES || entryField > 2) {
        reader.skip(entryTag & 7, entryField);
        continue;
      }
      const length = reader.length();
      if (entryField === 1) key = readText(bytes, reader.pos, reader.pos + length);
      else {
        if (value !== undefined) throw new StructError("repeated_field");
        value = readValue(bytes, reader.pos, reader.pos + length, depthLeft);
      }
      reader.pos += length;
    }
    if (reader.pos > entryEnd) throw new WireError("a map entry is longer than its length");
    if (value === undefined) throw new StructError("empty_value");
    if (!values.has(key)) keys.push(key);
    values.set(key, value);
  }
  keys.sort();
  let json = "{";
  for (let i = 0; i < keys.length; i++) {
    json += `${i === 0 ? "" : ","}${JSON.stringify(keys[i])}:${values.get(keys[i]!)}`;
  }
  return `${json}}`;
}

function readValue(bytes: Buffer, start: number, end: number, depthLeft: number): string {
  const reader = new WireReader(bytes, start, end);
  let json: string | undefined;
  while (!reader.done) {
    const tag = reader.uint32();
    const number = fieldNumber(tag);
    const wireType = tag & 7;
    if (number > VALUE.list) {
      reader.skip(wireType, number);
      continue;
    }
    if (json !== undefined) throw new StructError("repeated_field");
    if (number === VALUE.null && wireType === WIRE_VARINT) {
      reader.int64();
      json = "null";
    } else if (number === VALUE.bool && wireType === WIRE_VARINT) {
      json = reader.int64() === 0n ? "false" : "true";
    } else if (number === VALUE.number && wireType === WIRE_FIXED64) {
      const at = reader.pos;
      reader.skip(wireType, number);
      const value = bytes.readDoubleLE(at);
      if (!Number.isFinite(value)) throw new StructError("not_finite");
      json = JSON.stringify(value);
    } else if (wireType === WIRE_BYTES && number >= VALUE.string && number !== VALUE.bool) {
      const length = reader.length();
      const at = reader.pos;
      reader.pos += length;
      if (number === VALUE.string) json = JSON.stringify(readText(bytes, at, at + length));
      else if (number === VALUE.struct) json = readStruct(bytes, at, at + length, depthLeft - 1);
      else json = readList(bytes, at, at + length, depthLeft - 1);
    } else {
      throw new WireError(`a metadata value's field ${number} has the wire type ${wireType}`);
    }
  }
  if (json === undefined) throw new StructError("empty_value");
  return json;
}

function readList(bytes: Buffer, start: number, end: number, depthLeft: number): string {
  if (depthLeft === 0) throw new StructError("too_deep");
  const reader = new WireReader(bytes, start, end);
  let json = "[";
  while (!reader.done) {
    const tag = reader.uint32();
    const number = fieldNumber(tag);
    if (number !== 1 || (tag & 7) !== WIRE_BYTES) {
      reader.skip(tag & 7, number);
      continue;
    }
    const length = reader.length();
    json += (json.length > 1 ? "," : "") + readValue(bytes, reader.pos, reader.pos + length, depthLeft);
    reader.pos += length;
  }
  return `${json}]`;
}

function readText(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString("utf8", start, end);
  // The decoder replaces what is not UTF-8; only then is a second look needed.
  if (text.includes("\ufffd") && !isUtf8(bytes.subarray(start, end))) throw new StructError("invalid_utf8");
  if (text.includes("\0")) throw new StructError("nul_character");
  return text;
}
