import { ByteWriter } from "./byte-writer.ts";
import { closeObject, type Member, type MemberOrder, openMember, openObject } from "./json-object.ts";
import { writeJsonText } from "./json-text.ts";
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
const COLON = 0x3a;
const COMMA = 0x2c;
const BRACKET = { open: 0x5b, close: 0x5d } as const;

const scratch = new ByteWriter();

/**
 * The canonical JSON of an encoded google.protobuf.Struct: keys sorted by UTF-16 code units, no spaces, numbers as
 * JSON.stringify writes them. Equal structs give equal text, however a producer ordered their fields.
 *
 * Throws StructError, or WireError where the bytes are not well formed.
 */
export function structToJson(bytes: Buffer, maxDepth: number): string {
  writeStruct(scratch.clear(), bytes, 0, bytes.length, maxDepth);
  return scratch.written.toString();
}

/** The same, as UTF-8 into `out`, of the Struct in `bytes` from `start` to `end`. */
export function writeStruct(
  out: ByteWriter,
  bytes: Buffer,
  start: number,
  end: number,
  depthLeft: number,
  order: MemberOrder = "sorted",
): void {
  if (depthLeft === 0) throw new StructError("too_deep");
  const reader = new WireReader(bytes, start, end);
  const members: Member[] = [];
  const at = openObject(out);
  while (!reader.done) {
    const tag = reader.uint32();
    const number = fieldNumber(tag);
    if (number !== 1 || (tag & 7) !== WIRE_BYTES) {
      reader.skip(tag & 7, number);
      continue;
    }
    const entryEnd = reader.length() + reader.pos;
    openMember(out, members);
    members.push(writeEntry(out, bytes, reader, entryEnd, depthLeft, order));
  }
  closeObject(out, at, members, bytes, order);
}

/** Writes key and value in the order in which they come, and says where they are. */
function writeEntry(
  out: ByteWriter,
  bytes: Buffer,
  reader: WireReader,
  entryEnd: number,
  depthLeft: number,
  order: MemberOrder,
): Member {
  const member = { keyStart: 0, keyEnd: 0, nameStart: -1, nameEnd: -1, valueStart: -1, valueEnd: -1 };
  while (reader.pos < entryEnd) {
    const tag = reader.uint32();
    const field = fieldNumber(tag);
    if ((tag & 7) !== WIRE_BYTES || field > 2) {
      reader.skip(tag & 7, field);
      continue;
    }
    const length = reader.length();
    const start = reader.pos;
    reader.pos += length;
    if (field === 1) {
      member.keyStart = start;
      member.keyEnd = reader.pos;
      member.nameStart = out.length;
      writeName(out, bytes, start, reader.pos);
      member.nameEnd = out.length;
    } else {
      if (member.valueStart >= 0) throw new StructError("repeated_field");
      member.valueStart = out.length;
      writeValue(out, bytes, start, reader.pos, depthLeft, order);
      member.valueEnd = out.length;
    }
  }
  if (reader.pos > entryEnd) throw new WireError("a map entry is longer than its length");
  if (member.valueStart < 0) throw new StructError("empty_value");
  if (member.nameStart < 0) {
    // An absent key is the empty one.
    member.nameStart = out.length;
    writeName(out, bytes, 0, 0);
    member.nameEnd = out.length;
  }
  return member;
}

/** A key of an object. Throws StructError. */
export function writeName(out: ByteWriter, bytes: Buffer, start: number, end: number): void {
  writeText(out, bytes, start, end);
  out.byte(COLON);
}

function writeValue(
  out: ByteWriter,
  bytes: Buffer,
  start: number,
  end: number,
  depthLeft: number,
  order: MemberOrder,
): void {
  const reader = new WireReader(bytes, start, end);
  let isWritten = false;
  while (!reader.done) {
    const tag = reader.uint32();
    const number = fieldNumber(tag);
    const wireType = tag & 7;
    if (number > VALUE.list) {
      reader.skip(wireType, number);
      continue;
    }
    if (isWritten) throw new StructError("repeated_field");
    isWritten = true;
    if (number === VALUE.null && wireType === WIRE_VARINT) {
      reader.skip(wireType, number);
      out.ascii("null");
    } else if (number === VALUE.bool && wireType === WIRE_VARINT) {
      out.ascii(reader.int64() === 0 ? "false" : "true");
    } else if (number === VALUE.number && wireType === WIRE_FIXED64) {
      const at = reader.pos;
      reader.skip(wireType, number);
      const value = bytes.readDoubleLE(at);
      if (!Number.isFinite(value)) throw new StructError("not_finite");
      out.ascii(String(value));
    } else if (wireType === WIRE_BYTES && number >= VALUE.string && number !== VALUE.bool) {
      const length = reader.length();
      const at = reader.pos;
      reader.pos += length;
      if (number === VALUE.string) writeText(out, bytes, at, reader.pos);
      else if (number === VALUE.struct) writeStruct(out, bytes, at, reader.pos, depthLeft - 1, order);
      else writeList(out, bytes, at, reader.pos, depthLeft - 1, order);
    } else {
      throw new WireError(`a metadata value's field ${number} has the wire type ${wireType}`);
    }
  }
  if (!isWritten) throw new StructError("empty_value");
}

function writeList(
  out: ByteWriter,
  bytes: Buffer,
  start: number,
  end: number,
  depthLeft: number,
  order: MemberOrder,
): void {
  if (depthLeft === 0) throw new StructError("too_deep");
  const reader = new WireReader(bytes, start, end);
  out.byte(BRACKET.open);
  for (let isFirst = true; !reader.done; ) {
    const tag = reader.uint32();
    const number = fieldNumber(tag);
    if (number !== 1 || (tag & 7) !== WIRE_BYTES) {
      reader.skip(tag & 7, number);
      continue;
    }
    if (!isFirst) out.byte(COMMA);
    isFirst = false;
    const length = reader.length();
    const at = reader.pos;
    reader.pos += length;
    writeValue(out, bytes, at, reader.pos, depthLeft, order);
  }
  out.byte(BRACKET.close);
}

/** A string. Throws StructError. */
export function writeText(out: ByteWriter, bytes: Buffer, start: number, end: number): void {
  const problem = writeJsonText(out, bytes, start, end);
  if (problem !== undefined) throw new StructError(problem);
}
