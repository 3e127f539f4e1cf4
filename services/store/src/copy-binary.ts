/**
 * Writes rows in PostgreSQL's binary COPY format into one growing buffer.
 * https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"
 */

const HEADER = Buffer.concat([Buffer.from("PGCOPY\n\xff\r\n\0", "latin1"), Buffer.alloc(8)]);
const TRAILER_BYTES = 2;
/** 2000-01-01T00:00:00Z, where PostgreSQL's clock begins, in microseconds since 1970. */
const POSTGRES_EPOCH_US = 946_684_800_000_000;
const JSONB_VERSION = 1;

/** Appends fields in the order of the columns; `finish` hands the whole over and begins anew. */
export class CopyWriter {
  #buffer: Buffer;
  #at = 0;

  constructor(initialBytes = 256 * 1024) {
    this.#buffer = Buffer.allocUnsafe(initialBytes);
    this.#begin();
  }

  row(columns: number): void {
    this.#reserve(2);
    this.#at = this.#buffer.writeInt16BE(columns, this.#at);
  }

  null(): void {
    this.#reserve(4);
    this.#at = this.#buffer.writeInt32BE(-1, this.#at);
  }

  /** A text, bytea or uuid field from its bytes. */
  bytes(value: Uint8Array): void {
    this.#reserve(4 + value.length);
    this.#at = this.#buffer.writeInt32BE(value.length, this.#at);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }

  text(value: string): void {
    // UTF-8 needs at most three bytes for a UTF-16 code unit.
    this.#reserve(4 + value.length * 3);
    const length = this.#buffer.write(value, this.#at + 4);
    this.#buffer.writeInt32BE(length, this.#at);
    this.#at += 4 + length;
  }

  jsonb(json: string): void {
    this.#reserve(5 + json.length * 3);
    const length = this.#buffer.write(json, this.#at + 5);
    this.#buffer.writeInt32BE(length + 1, this.#at);
    this.#buffer[this.#at + 4] = JSONB_VERSION;
    this.#at += 5 + length;
  }

  integer(value: number): void {
    this.#reserve(8);
    this.#at = this.#buffer.writeInt32BE(4, this.#at);
    this.#at = this.#buffer.writeInt32BE(value, this.#at);
  }

  bigint(value: bigint): void {
    this.#reserve(12);
    this.#at = this.#buffer.writeInt32BE(8, this.#at);
    this.#at = this.#buffer.writeBigInt64BE(value, this.#at);
  }

  /** A timestamptz field from microseconds since 1970. */
  timestamp(us: number): void {
    this.bigint(BigInt(us - POSTGRES_EPOCH_US));
  }

  /** The complete data. Valid until the next row is written. */
  finish(): Buffer {
    this.#reserve(TRAILER_BYTES);
    this.#at = this.#buffer.writeInt16BE(-1, this.#at);
    const whole = this.#buffer.subarray(0, this.#at);
    this.#begin();
    return whole;
  }

  #begin(): void {
    HEADER.copy(this.#buffer);
    this.#at = HEADER.length;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}
