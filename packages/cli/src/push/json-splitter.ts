import { isUtf8 } from "node:buffer";
import { countByte } from "./count-byte.ts";
import { parseJson } from "./parse-json.ts";
import {
  MAX_RAW_BYTES,
  malformed,
  NOT_UTF8,
  type Reading,
  type SourceRecord,
  type Splitter,
} from "./source-record.ts";

const LF = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const ARRAY_OPEN = 0x5b;
const ARRAY_CLOSE = 0x5d;
const OBJECT_OPEN = 0x7b;
const OBJECT_CLOSE = 0x7d;
const KEPT_BYTES = 64 * 1024;
const EMPTY = Buffer.alloc(0);

/** How an IngestRequest begins. */
const REQUEST = /^\{\s*"records"\s*:\s*\[/;
/** As far as its beginning is looked for. */
const REQUEST_BYTES = 256;

/**
 * Finds records in JSON without reading all of it: the elements of an array, those of `{"records": […]}`, or objects one
 * after the other. It follows brackets and texts alone; each record is then parsed on its own.
 */
export class JsonSplitter implements Splitter {
  readonly #maxBytes: number;
  #buffer: Buffer = EMPTY;
  /** Everything before it in the buffer has been looked at. */
  #at = 0;
  /** What surrounds the records: nothing, `[`, `{"records":`, or `{"records": [`. */
  #around: "" | "[" | "{" | "{[" = "";
  /** Brackets open within a record; 0 between records, and in a record that is no object or array. */
  #depth = 0;
  #isInRecord = false;
  #isInText = false;
  #line = 1;
  #startBytes = 0;
  #isBroken = false;

  constructor({ maxBytes = MAX_RAW_BYTES } = {}) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): SourceRecord[] {
    if (this.#isBroken) return [];
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    const records = this.#split(false);
    if (this.#buffer.length <= this.#maxBytes) return records;
    return [...records, this.#break(`a record has more than ${this.#maxBytes} bytes`)];
  }

  end(): SourceRecord[] {
    if (this.#isBroken) return [];
    const records = this.#split(true);
    if (this.#isBroken) return records;
    // A number, say, ends with the file.
    if (this.#isInRecord && this.#depth === 0 && !this.#isInText) records.push(this.#take());
    if (this.#isInRecord) records.push(this.#break("the file ends within a record"));
    else if (this.#around !== "") records.push(this.#break("the file ends before the list of records does"));
    return records;
  }

  #split(isLast: boolean): SourceRecord[] {
    const records: SourceRecord[] = [];
    while (this.#at < this.#buffer.length && !this.#isBroken) {
      if (this.#isInRecord) {
        if (!this.#findEnd()) break;
        records.push(this.#take());
      } else if (!this.#findStart(isLast, records)) break;
    }
    return records;
  }

  /** Goes on to the next record. False where there is none yet. */
  #findStart(isLast: boolean, records: SourceRecord[]): boolean {
    let at = this.#at;
    while (at < this.#buffer.length && isBlank(this.#buffer[at]!)) at++;
    this.#drop(at);
    if (this.#buffer.length === 0) return false;
    const byte = this.#buffer[0]!;
    const isInList = this.#around === "[" || this.#around === "{[";
    if (byte === COMMA && isInList) this.#drop(1);
    else if (byte === ARRAY_CLOSE && isInList) {
      this.#around = this.#around === "[" ? "" : "{";
      this.#drop(1);
    } else if (byte === OBJECT_CLOSE && this.#around === "{") {
      this.#around = "";
      this.#drop(1);
    } else if (this.#around === "{" || byte === ARRAY_CLOSE || byte === OBJECT_CLOSE || byte === COMMA) {
      records.push(this.#break(`there is an unexpected ${JSON.stringify(String.fromCharCode(byte))}`));
    } else if (byte === ARRAY_OPEN && this.#around === "") {
      this.#around = "[";
      this.#drop(1);
    } else if (byte === OBJECT_OPEN && this.#around === "") {
      if (this.#buffer.length < REQUEST_BYTES && !isLast && !this.#isSurelyRecord()) return false;
      const match = REQUEST.exec(this.#buffer.toString("latin1", 0, REQUEST_BYTES));
      if (match === null) this.#isInRecord = true;
      else {
        this.#around = "{[";
        this.#drop(match[0].length);
      }
    } else this.#isInRecord = true;
    return true;
  }

  /** The object at hand can't turn out to be an IngestRequest, whatever follows. */
  #isSurelyRecord(): boolean {
    return /^\{\s*(?!"r|"$)\S/.test(this.#buffer.toString("latin1"));
  }

  /** Goes on to the end of the record that begins with the buffer. False where it isn't there yet. */
  #findEnd(): boolean {
    const buffer = this.#buffer;
    let depth = this.#depth;
    let isInText = this.#isInText;
    let at = this.#at;
    let isFound = false;
    for (; at < buffer.length && !isFound; at++) {
      const byte = buffer[at]!;
      if (isInText) {
        if (byte === BACKSLASH) {
          // What it escapes may be in the next chunk.
          if (at + 1 === buffer.length) break;
          at++;
        } else if (byte === QUOTE) isInText = false;
      } else if (byte === QUOTE) isInText = true;
      else if (byte === OBJECT_OPEN || byte === ARRAY_OPEN) depth++;
      else if (depth > 0) isFound = (byte === OBJECT_CLOSE || byte === ARRAY_CLOSE) && --depth === 0;
      else if (byte === COMMA || byte === ARRAY_CLOSE || byte === OBJECT_CLOSE || isBlank(byte)) {
        isFound = true;
        // It belongs to what surrounds the record.
        at--;
      }
    }
    this.#at = at;
    this.#depth = depth;
    this.#isInText = isInText;
    return isFound;
  }

  /** Takes the record before `#at`. */
  #take(): SourceRecord {
    const raw = this.#buffer.subarray(0, this.#at);
    const line = this.#line;
    this.#drop(this.#at);
    const reading: Reading = isUtf8(raw) ? parseJson(raw.toString()) : NOT_UTF8;
    return { line, endBytes: this.#startBytes, raw, ...reading };
  }

  /** Gives up: where the next record begins can't be told. */
  #break(what: string): SourceRecord {
    this.#isBroken = true;
    const raw = Buffer.from(this.#buffer.subarray(0, KEPT_BYTES));
    this.#buffer = EMPTY;
    const reading = malformed(`${what}; the file is not JSON from here on and was read no further: mend it`);
    return { line: this.#line, endBytes: this.#startBytes, raw, ...reading };
  }

  #drop(bytes: number): void {
    this.#line += countByte(this.#buffer.subarray(0, bytes), LF);
    this.#startBytes += bytes;
    this.#buffer = this.#buffer.subarray(bytes);
    this.#at = 0;
    this.#depth = 0;
    this.#isInRecord = false;
    this.#isInText = false;
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === LF || byte === 0x0d || byte === 0x09;
}
