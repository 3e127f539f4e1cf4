import type { Readable } from "node:stream";
import { fromBinary } from "@bufbuild/protobuf";
import {
  type IngestionData,
  IngestionDataSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { encodeRecord } from "./encode-record.ts";
import { createSplitter, type Format, openInput } from "./input.ts";
import type { SourceRecord } from "./source-record.ts";

/** Records of a file with the line on which each begins, or what is wrong with it. */
export type ReadRecord = { line: number; record: IngestionData } | { line: number; problem: string };

/**
 * Reads a small file of records for trying something out; nothing is required of them. Without a format, what the file's name
 * tells, else JSON in any arrangement: one record per line, an array, or objects one after the other.
 *
 * @param source a path, or "-" for standard input
 * @throws {UsageError} where the file can't be read
 */
export async function* readRecords(
  source: string,
  options: { stdin: Readable; format?: Format | "auto" | undefined },
): AsyncIterable<ReadRecord> {
  const format = options.format === "auto" ? undefined : options.format;
  const isNamed = format !== undefined || /\.(csv|tsv)(\.gz)?$/i.test(source);
  const input = await openInput(source, { stdin: options.stdin, format: isNamed ? format : "json" });
  const splitter = createSplitter(input);
  for await (const chunk of input.bytes) yield* splitter.push(chunk).map(read);
  yield* splitter.end().map(read);
}

function read(source: SourceRecord): ReadRecord {
  const { line } = source;
  if ("rejection" in source) return { line, problem: source.rejection.message };
  const encoded = encodeRecord(source.json, { isIncomplete: true, texts: {} });
  if (!(encoded instanceof Uint8Array)) return { line, problem: encoded.message };
  return { line, record: fromBinary(IngestionDataSchema, encoded) };
}
