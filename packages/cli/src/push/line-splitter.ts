import { isUtf8 } from "node:buffer";
import { countByte } from "./count-byte.ts";
import {
  MAX_RAW_BYTES,
  malformed,
  NOT_UTF8,
  type Reading,
  type SourceRecord,
  type Splitter,
} from "./source-record.ts";

const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;
/** What is kept of a line that is too long. */
const KEPT_BYTES = 64 * 1024;
const EMPTY = Buffer.alloc(0);

export interface LineSplitterOptions {
  /** Reads the text of one record; undefined where it is none, such as a header. */
  parse(text: string): Reading | undefined;
  /** A record goes on over a line's end within double quotes, as in CSV. */
  hasQuotes: boolean;
  maxBytes?: number;
  /** Makes the error with which it fails where the first record, such as a header, can't be handed to `parse`. */
  refuseFirst?(message: string): Error;
}

/**
 * Finds records that end with a line. Empty lines are none. Where quotes have a record span several lines and these make no
 * sense together, only the first line is at fault and the next is looked at afresh: one stray quote harms one line.
 */
export class LineSplitter implements Splitter {
  readonly #parse: LineSplitterOptions["parse"];
  readonly #hasQuotes: boolean;
  readonly #maxBytes: number;
  readonly #refuseFirst: LineSplitterOptions["refuseFirst"];
  #hasParsed = false;
  #buffer: Buffer = EMPTY;
  /** So far the buffer has been searched for the record's end … */
  #searched = 0;
  /** … and a quote is open there. */
  #isOpen = false;
  #line = 1;
  #startBytes = 0;
  /** The beginning of a line that is too long, while the rest of it passes by. */
  #tooLong: Buffer | undefined;

  constructor(options: LineSplitterOptions) {
    this.#parse = options.parse;
    this.#hasQuotes = options.hasQuotes;
    this.#maxBytes = options.maxBytes ?? MAX_RAW_BYTES;
    this.#refuseFirst = options.refuseFirst;
  }

  push(chunk: Buffer): SourceRecord[] {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    const records: SourceRecord[] = [];
    for (;;) {
      const end = this.#findEnd();
      if (end !== -1) this.#take(end, end + 1, records);
      else if (this.#buffer.length <= this.#maxBytes) return records;
      else if (this.#rejectFirstLine(records)) continue;
      else {
        this.#tooLong ??= Buffer.from(this.#buffer.subarray(0, KEPT_BYTES));
        this.#startBytes += this.#buffer.length;
        this.#buffer = EMPTY;
        this.#searched = 0;
        this.#isOpen = false;
        return records;
      }
    }
  }

  end(): SourceRecord[] {
    const records: SourceRecord[] = [];
    while (this.#buffer.length > 0 || this.#tooLong !== undefined) {
      const end = this.#findEnd();
      if (end !== -1) this.#take(end, end + 1, records);
      else if (this.#isOpen && this.#rejectFirstLine(records)) continue;
      else this.#take(this.#buffer.length, this.#buffer.length, records);
    }
    return records;
  }

  /** The index of the line end that ends the record, or -1. */
  #findEnd(): number {
    for (;;) {
      const end = this.#buffer.indexOf(LF, this.#searched);
      if (this.#hasQuotes && this.#tooLong === undefined) {
        const quotes = countByte(this.#buffer.subarray(this.#searched, end === -1 ? undefined : end), QUOTE);
        if (quotes % 2 === 1) this.#isOpen = !this.#isOpen;
      }
      this.#searched = end === -1 ? this.#buffer.length : end + 1;
      if (end === -1 || !this.#isOpen) return end;
    }
  }

  /** Takes the record before `end`; the next begins at `next`. */
  #take(end: number, next: number, records: SourceRecord[]): void {
    const isLong = this.#tooLong !== undefined || end > this.#maxBytes;
    const raw = this.#tooLong ?? this.#withoutCr(end).subarray(0, isLong ? KEPT_BYTES : undefined);
    const reading = isLong ? this.#tooLongReading() : this.#read(raw);
    this.#assertFirst(reading);
    if (reading !== undefined && "rejection" in reading && this.#rejectFirstLine(records, reading)) return;
    const line = this.#line;
    this.#drop(next);
    if (reading !== undefined) records.push({ line, endBytes: this.#startBytes, raw, ...reading });
  }

  #read(raw: Buffer): Reading | undefined {
    if (!isUtf8(raw)) return NOT_UTF8;
    const text = raw.toString();
    if (text.trim() === "") return undefined;
    this.#hasParsed = true;
    return this.#parse(text);
  }

  #assertFirst(reading: Reading | undefined): void {
    if (this.#hasParsed || this.#refuseFirst === undefined) return;
    if (reading !== undefined && "rejection" in reading) throw this.#refuseFirst(reading.rejection.message);
  }

  /** Rejects the first of several lines and has the next one begin a record. False where there is one line only. */
  #rejectFirstLine(
    records: SourceRecord[],
    reading: Reading = malformed("a quote is opened here and closed nowhere; close it, or double it"),
  ): boolean {
    this.#assertFirst(reading);
    const end = this.#buffer.indexOf(LF);
    if (end === -1 || end + 1 >= this.#searched || this.#tooLong !== undefined) return false;
    const line = this.#line;
    const raw = this.#withoutCr(end);
    this.#drop(end + 1);
    records.push({ line, endBytes: this.#startBytes, raw, ...reading });
    return true;
  }

  #tooLongReading(): Reading {
    return {
      rejection: {
        reason: "record_too_large",
        field: "",
        message: `the line has more than ${this.#maxBytes} bytes; split the record or store large parts elsewhere`,
      },
    };
  }

  #withoutCr(end: number): Buffer {
    return this.#buffer.subarray(0, end > 0 && this.#buffer[end - 1] === CR ? end - 1 : end);
  }

  #drop(bytes: number): void {
    for (let at = this.#buffer.indexOf(LF); at !== -1 && at < bytes; at = this.#buffer.indexOf(LF, at + 1))
      this.#line++;
    this.#startBytes += bytes;
    this.#buffer = this.#buffer.subarray(bytes);
    this.#searched = 0;
    this.#isOpen = false;
    this.#tooLong = undefined;
  }
}
