import type { SourceRecord, Splitter } from "./source-record.ts";

/** Feeds `text` in chunks that end after the given numbers of bytes, over and over. */
export function feed(
  splitter: Splitter,
  text: string | Buffer,
  cuts: readonly number[] = [1 << 20],
): SourceRecord[] {
  const bytes = Buffer.from(text);
  const records: SourceRecord[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = cuts[i % cuts.length]!;
    records.push(...splitter.push(bytes.subarray(at, at + length)));
    at += length;
  }
  return [...records, ...splitter.end()];
}

/** [line, what it says or the reason why not] of each. */
export const outline = (records: readonly SourceRecord[]) =>
  records.map((record) => [record.line, "json" in record ? record.json : record.rejection.reason]);
