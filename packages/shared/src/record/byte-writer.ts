const FIRST_BYTES = 64 * 1024;

/**
 * Puts bytes together in one buffer. Most writers are used again and again: what they have written is read, or copied,
 * before they begin anew. Whoever fills `buffer` by hand asks `reserve` for room and moves `length` on.
 */
export class ByteWriter {
  buffer: Buffer;
  /** How much of `buffer` is written. */
  length = 0;

  /** @param size of the buffer to begin with; it grows as it has to */
  constructor(size: number = FIRST_BYTES) {
    this.buffer = Buffer.allocUnsafe(size);
  }

  /** Begins anew. */
  clear(): this {
    this.length = 0;
    return this;
  }

  /** What has been written, not copied. */
  get written(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  /** Makes room for so many bytes behind what is written. Returns `buffer`, which may be another one now. */
  reserve(count: number): Buffer {
    const needed = this.length + count;
    if (needed > this.buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.buffer.length));
      this.buffer.copy(grown, 0, 0, this.length);
      this.buffer = grown;
    }
    return this.buffer;
  }

  byte(byte: number): void {
    this.reserve(1)[this.length++] = byte;
  }

  /** Text of ASCII characters. */
  ascii(text: string): void {
    this.length += this.reserve(text.length).write(text, this.length, "latin1");
  }

  utf8(text: string): void {
    // No UTF-16 code unit takes more than three bytes.
    this.length += this.reserve(3 * text.length).write(text, this.length);
  }

  /** What has been written from `start` to `end`, once more. */
  repeat(start: number, end: number): void {
    this.reserve(end - start).copyWithin(this.length, start, end);
    this.length += end - start;
  }

  /** All of `bytes`. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length).set(bytes, this.length);
    this.length += bytes.length;
  }

  /** The bytes of `source` from `start` to `end`. */
  copy(source: Buffer, start = 0, end = source.length): void {
    this.length += source.copy(this.reserve(end - start), this.length, start, end);
  }
}
