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
  /** The halves of the last varint, signed. */
  #low = 0;
  #high = 0;
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
    const first = this.bytes[this.pos]!;
    // Nearly every tag and length.
    if (first < 0x80 && this.pos < this.end) {
      this.pos++;
      return first;
    }
    this.#readVarint();
    return this.#low >>> 0;
  }

  /** A signed 64-bit varint (int64). Exact from -2^53 to 2^53, rounded beyond. */
  int64(): number {
    this.#readVarint();
    return this.#high * 2 ** 32 + (this.#low >>> 0);
  }

  /** An unsigned 64-bit varint (uint64). */
  uint64(): bigint {
    this.#readVarint();
    return (BigInt(this.#high >>> 0) << 32n) | BigInt(this.#low >>> 0);
  }

  /** The low 32 bits of a varint, signed (int32). */
  int32(): number {
    this.#readVarint();
    return this.#low;
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
        this.#readVarint();
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

  /** Reads a varint into two halves: numbers hold 53 bits, and bigints are slow. */
  #readVarint(): void {
    const { bytes, end } = this;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.pos >= end) throw new WireError("a varint is cut off");
      const byte = bytes[this.pos++]!;
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      if (shift === 28) high = bits >>> 4;
      else if (shift > 28) high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#low = low;
        this.#high = high;
        return;
      }
    }
    throw new WireError("a varint is longer than 10 bytes");
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
