import { access, constants, type FileHandle, open } from "node:fs/promises";
import { extname } from "node:path";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { UsageError } from "../cli-error.ts";
import { type CsvOptions, createCsvParser } from "./csv-record.ts";
import { JsonSplitter } from "./json-splitter.ts";
import { LineSplitter } from "./line-splitter.ts";
import { parseJson } from "./parse-json.ts";
import type { Splitter } from "./source-record.ts";

export const FORMATS = ["ndjson", "json", "csv"] as const;
export type Format = (typeof FORMATS)[number];

/** A file, or standard input, opened. */
export interface Input {
  /** As the user wrote it; "-" is standard input. */
  name: string;
  format: Format;
  /** CSV: what separates cells, unless an option says otherwise. */
  delimiter: "," | "\t";
  isStdin: boolean;
  /** As stored; undefined for what isn't a regular file. */
  sizeBytes: number | undefined;
  /** How much has been read, as stored. */
  readBytes: number;
  /** The contents, unpacked, without a byte order mark. Read once. */
  bytes: AsyncIterable<Buffer>;
  /** Reads no more. */
  close(): void;
}

const CHUNK_BYTES = 256 * 1024;
const FORMAT_BY_EXTENSION: Readonly<Record<string, Format>> = {
  ".ndjson": "ndjson",
  ".jsonl": "ndjson",
  ".ldjson": "ndjson",
  ".json": "json",
  ".csv": "csv",
  ".tsv": "csv",
};

/** @throws {UsageError} where it can't be read, or its name doesn't tell its format */
export async function openInput(
  name: string,
  options: { stdin: Readable; format?: Format | undefined },
): Promise<Input> {
  const isStdin = name === "-";
  const { format, extension, isPacked } = readName(name, options.format);
  const file = isStdin ? undefined : await openFile(name);
  const stat = await file?.stat();
  const source: Readable = file?.createReadStream({ highWaterMark: CHUNK_BYTES }) ?? options.stdin;
  const count = (bytes: number): void => {
    input.readBytes += bytes;
  };
  const stored = counted(source, count);
  const input: Input = {
    name,
    format,
    delimiter: extension === ".tsv" ? "\t" : ",",
    isStdin,
    sizeBytes: stat?.isFile() ? stat.size : undefined,
    readBytes: 0,
    bytes: withoutByteOrderMark(name, isPacked ? unpack(name, stored) : stored),
    close: () => void source.destroy(),
  };
  return input;
}

/**
 * Finds out before anything is pushed that a file can't be.
 *
 * @throws {UsageError}
 */
export async function checkInput(name: string, format: Format | undefined): Promise<void> {
  readName(name, format);
  if (name === "-") return;
  // Not opened: what comes through a named pipe can be read only once.
  await access(name, constants.R_OK).catch((cause: Error) => {
    throw new UsageError(`can't read ${name}: ${cause.message}`, { cause });
  });
}

function readName(
  name: string,
  given: Format | undefined,
): { format: Format; extension: string; isPacked: boolean } {
  const isPacked = extname(name) === ".gz";
  const extension = extname(isPacked ? name.slice(0, -3) : name).toLowerCase();
  const format = given ?? (name === "-" ? "ndjson" : FORMAT_BY_EXTENSION[extension]);
  if (format === undefined)
    throw new UsageError(
      `${name}: its name doesn't tell what is in it; give --format ${FORMATS.join(" or ")}`,
    );
  return { format, extension, isPacked };
}

/** The records of an input, as many at a time as come together. Throws UsageError where a CSV header can't be used. */
export function createSplitter({ format, delimiter }: Input, csv: Partial<CsvOptions> = {}): Splitter {
  if (format === "json") return new JsonSplitter();
  if (format === "ndjson") return new LineSplitter({ parse: parseJson, hasQuotes: false });
  const parse = createCsvParser({
    delimiter,
    columns: new Map(),
    columnsTo: "metadata",
    times: "rfc3339",
    ...csv,
  });
  const refuseFirst = (why: string) => new UsageError(`the header of the CSV file: ${why}`);
  return new LineSplitter({ parse, hasQuotes: true, refuseFirst });
}

async function openFile(name: string): Promise<FileHandle> {
  try {
    const file = await open(name);
    if (!(await file.stat()).isDirectory()) return file;
    await file.close();
  } catch (cause) {
    throw new UsageError(`can't read ${name}: ${(cause as Error).message}`, { cause });
  }
  throw new UsageError(`can't read ${name}: it is a directory; name its files`);
}

async function* counted(source: Readable, count: (bytes: number) => void): AsyncIterable<Buffer> {
  for await (const chunk of source) {
    count(chunk.length);
    yield chunk;
  }
}

async function* unpack(name: string, packed: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  const unpacked = createGunzip({ chunkSize: CHUNK_BYTES });
  // A failure of either end is told by the one that is read.
  pipeline(packed, unpacked, () => {});
  try {
    yield* unpacked;
  } catch (cause) {
    throw new UsageError(`${name} can't be unpacked: ${(cause as Error).message}`, { cause });
  }
}

async function* withoutByteOrderMark(name: string, chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of chunks) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < 3) continue;
    yield withoutMark(name, head);
    head = undefined;
  }
  if (head !== undefined && head.length > 0) yield withoutMark(name, head);
}

function withoutMark(name: string, head: Buffer): Buffer {
  const mark = head.toString("latin1", 0, 3);
  if (mark.startsWith("\xff\xfe") || mark.startsWith("\xfe\xff"))
    throw new UsageError(`${name} is UTF-16; convert it, for example with iconv -f utf-16 -t utf-8`);
  return mark === "\xef\xbb\xbf" ? head.subarray(3) : head;
}
