/**
 * Reads the protobuf wire format in place, so that a hop looks only at the fields it needs and passes the rest on as
 * bytes. https://protobuf.dev/programming-guides/encoding/
 */

export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_FIXED32 = 5;

/** The bytes are not a well-formed message. */
export class WireError extends Error {
  override name = "WireError";
}

/** A cursor over one message's bytes. `pos` moves with every read; nothing is copied. */
export class WireReader {
  pos: number;
  readonly bytes: Uint8Array;
  readonly end: number;

  constructor(bytes: Uint8Array, start: number = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.pos = start;
    this.end = end;
  }

  get done(): boolean {
    return this.pos >= this.end;
  }

  /** An unsigned varint that fits 32 bits: a tag or a length. Longer varints are read, their high bits dropped. */
  uint32(): number {
    const { bytes, end } = this;
    let result = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.pos >= end) throw new WireError("a varint is cut off");
      const byte = bytes[this.pos++]!;
      if (shift < 32) result |= (byte & 0x7f) << shift;
      if (byte < 0x80) return result >>> 0;
    }
    throw new WireError("a varint is longer than 10 bytes");
  }

  /** A signed 64-bit varint (int64). */
  int64(): bigint {
    const { bytes, end } = this;
    let result = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.pos >= end) throw new WireError("a varint is cut off");
      const byte = bytes[this.pos++]!;
      result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, result);
    }
    throw new WireError("a varint is longer than 10 bytes");
  }

  /** The length of a length-delimited field; `pos` then stands at its first byte. */
  length(): number {
    const length = this.uint32();
    if (length > this.end - this.pos) throw new WireError("a field is longer than its message");
    return length;
  }

  /** Moves past a field's value. */
  skip(wireType: number, fieldNumber: number): void {
    switch (wireType) {
      case WIRE_VARINT:
        this.int64();
        return;
      case WIRE_FIXED64:
        this.#advance(8);
        return;
      case WIRE_BYTES:
        this.#advance(this.length());
        return;
      case WIRE_FIXED32:
        this.#advance(4);
        return;
      default:
        throw new WireError(`field ${fieldNumber} has the unsupported wire type ${wireType}`);
    }
  }

  #advance(count: number): void {
    if (count > this.end - this.pos) throw new WireError("a field is longer than its message");
    this.pos += count;
  }
}

/** Splits a tag into its parts, refusing field number 0. */
export function fieldNumber(tag: number): number {
  const number = tag >>> 3;
  if (number === 0) throw new WireError("a field has the number 0");
  return number;
}
