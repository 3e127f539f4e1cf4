/**
 * PostgreSQL's binary COPY format.
 * https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"
 */

import { ByteWriter } from "@chowhound/shared/record/byte-writer";

const HEADER = Buffer.concat([Buffer.from("PGCOPY\n\xff\r\n\0", "latin1"), Buffer.alloc(8)]);
const TRAILER = Buffer.from([0xff, 0xff]);
/** 2000-01-01T00:00:00Z, where PostgreSQL's clock begins, in microseconds since 1970. */
const POSTGRES_EPOCH_US = 946_684_800_000_000;
const JSONB_VERSION = 1;
const LENGTH_BYTES = 4;
/** More than this is not kept for the next group. */
export const KEPT_BYTES = 16 * 1024 * 1024;
/** Shorter pieces are copied byte by byte: a call of `copy` costs as much as so many. */
const FEW_BYTES = 24;

/** Writes fields, one behind the other, in the order of the columns. */
export class FieldWriter {
  readonly out: ByteWriter;

  constructor(out: ByteWriter = new ByteWriter()) {
    this.out = out;
  }

  null(): void {
    this.#int32(-1);
  }

  /** A text, bytea or uuid field from its bytes. */
  bytes(source: Uint8Array, start = 0, end = source.length): void {
    this.#int32(end - start);
    this.fields(source, start, end);
  }

  text(value: string): void {
    const at = this.#open();
    this.out.utf8(value);
    this.#close(at);
  }

  /** A jsonb field; `write` appends the JSON, as UTF-8. */
  jsonb(write: (out: ByteWriter) => void): void {
    const at = this.#open();
    this.out.byte(JSONB_VERSION);
    write(this.out);
    this.#close(at);
  }

  int64(value: number | bigint): void {
    this.#int32(8);
    const { out } = this;
    const number = Number(value);
    if (Number.isSafeInteger(number)) {
      this.#int32(Math.floor(number / 2 ** 32));
      this.#int32(number | 0);
    } else {
      out.length = out.reserve(8).writeBigInt64BE(BigInt(value), out.length);
    }
  }

  /** A timestamptz field from microseconds since 1970. */
  timestamp(us: number): void {
    this.int64(us - POSTGRES_EPOCH_US);
  }

  /** Fields that were written before. */
  fields(source: Uint8Array, start = 0, end = source.length): void {
    const { out } = this;
    const count = end - start;
    const target = out.reserve(count);
    if (count > FEW_BYTES) target.set(source.subarray(start, end), out.length);
    else for (let i = 0; i < count; i++) target[out.length + i] = source[start + i]!;
    out.length += count;
  }

  #open(): number {
    this.out.reserve(LENGTH_BYTES);
    this.out.length += LENGTH_BYTES;
    return this.out.length;
  }

  #close(start: number): void {
    const { out } = this;
    out.buffer.writeInt32BE(out.length - start, start - LENGTH_BYTES);
  }

  #int32(value: number): void {
    const { out } = this;
    out.length = out.reserve(4).writeInt32BE(value, out.length);
  }
}

/** Where the fields of a row lie. */
export interface RowPlace {
  readonly rowStart: number;
  readonly rowEnd: number;
}

/** Puts rows together to the data of one COPY. */
export class CopyData {
  #out = new ByteWriter();

  /**
   * @param fields where the rows are
   * @param columns how many fields a row has
   * @param isNumbered each row begins with one field more, an integer: its index
   * @returns the complete data, valid until the next call
   */
  of(fields: Buffer, rows: readonly RowPlace[], columns: number, { isNumbered = false } = {}): Buffer {
    if (this.#out.buffer.length > KEPT_BYTES) this.#out = new ByteWriter();
    const out = this.#out.clear();
    out.copy(HEADER);
    for (let n = 0; n < rows.length; n++) {
      const { rowStart, rowEnd } = rows[n]!;
      const bytes = out.reserve(2 + 8 + rowEnd - rowStart);
      let at = bytes.writeInt16BE(isNumbered ? columns + 1 : columns, out.length);
      if (isNumbered) {
        at = bytes.writeInt32BE(4, at);
        at = bytes.writeInt32BE(n, at);
      }
      bytes.set(fields.subarray(rowStart, rowEnd), at);
      out.length = at + rowEnd - rowStart;
    }
    out.copy(TRAILER);
    return out.written;
  }
}
