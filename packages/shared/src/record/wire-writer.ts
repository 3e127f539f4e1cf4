import { ByteWriter } from "./byte-writer.ts";
import { WIRE_BYTES, WIRE_VARINT } from "./wire.ts";

/**
 * Writes the protobuf wire format, field by field in the order of the calls. For the few messages that are written so often,
 * or with so many records, that the library's objects cost too much.
 *
 * As proto3 has it, a field is left out where it has its default value, but not the element of a repeated field.
 */
export class WireWriter extends ByteWriter {
  /** An integer of up to 53 bits; negative ones take ten bytes, as int64 and int32 do. */
  varint(value: number): void {
    const buffer = this.reserve(10);
    let at = this.length;
    let low = value | 0;
    let high = Math.floor(value / 2 ** 32) | 0;
    while (high !== 0 || low >>> 7 !== 0) {
      buffer[at++] = (low & 0x7f) | 0x80;
      low = (low >>> 7) | (high << 25);
      high >>>= 7;
    }
    buffer[at++] = low;
    this.length = at;
  }

  /** A field of an integer type but sint or fixed, or of an enum. */
  integer(field: number, value: number): void {
    if (value === 0) return;
    this.varint((field << 3) | WIRE_VARINT);
    this.varint(value);
  }

  uint64(field: number, value: bigint): void {
    if (value === 0n) return;
    this.varint((field << 3) | WIRE_VARINT);
    for (let rest = value; ; rest >>= 7n) {
      const bits = Number(rest & 0x7fn);
      if (rest === BigInt(bits)) {
        this.byte(bits);
        return;
      }
      this.byte(bits | 0x80);
    }
  }

  text(field: number, text: string): void {
    if (text === "") return;
    this.#head(field, Buffer.byteLength(text));
    this.utf8(text);
  }

  /** A field of bytes, an encoded message, or a packed column. */
  bytes(field: number, bytes: Uint8Array): void {
    if (bytes.length > 0) this.element(field, bytes);
  }

  /** One of the bytes or messages of a repeated field; it may be empty. */
  element(field: number, bytes: Uint8Array): void {
    this.#head(field, bytes.length);
    this.raw(bytes);
  }

  #head(field: number, length: number): void {
    this.varint((field << 3) | WIRE_BYTES);
    this.varint(length);
  }
}
