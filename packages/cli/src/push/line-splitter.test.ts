import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitCells } from "./csv-cells.ts";
import { createCsvParser } from "./csv-record.ts";
import { feed, outline } from "./feed-for-test.ts";
import { LineSplitter } from "./line-splitter.ts";
import { parseJson } from "./parse-json.ts";

const ndjson = (maxBytes?: number) =>
  new LineSplitter({ parse: parseJson, hasQuotes: false, ...(maxBytes !== undefined && { maxBytes }) });
const csv = (maxBytes?: number) =>
  new LineSplitter({
    parse: createCsvParser({ delimiter: ",", columns: new Map(), columnsTo: "metadata", times: "rfc3339" }),
    hasQuotes: true,
    ...(maxBytes !== undefined && { maxBytes }),
  });
const cuts = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 });

describe("NDJSON", () => {
  it("gives back any values in any chunking, with their lines and where they end", () => {
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue()),
        fc.constantFrom("\n", "\r\n", "\n\n"),
        cuts,
        (values, lineEnd, cuts) => {
          const lines = values.map((value) => JSON.stringify(value));
          const text = lines.map((line) => line + lineEnd).join("");
          const records = feed(ndjson(), text, cuts);
          expect(records.map((record) => "json" in record && record.json)).toEqual(
            lines.map((line) => JSON.parse(line)),
          );
          const perLine = lineEnd === "\n\n" ? 2 : 1;
          expect(records.map(({ line }) => line)).toEqual(values.map((_, i) => 1 + i * perLine));
          for (const [i, { endBytes }] of records.entries())
            expect(endBytes).toBe(
              Buffer.byteLength(lines.slice(0, i + 1).join("")) + (i + 1) * lineEnd.length - (perLine - 1),
            );
        },
      ),
    );
  });

  it("rejects a line that is no JSON, no UTF-8 or too long, and goes on", () => {
    const text = Buffer.concat([
      Buffer.from('{"a":1}\n{"a":\n\n'),
      Buffer.from([0x22, 0xff, 0x22, 0x0a]),
      Buffer.from(`"${"x".repeat(200)}"\n{"a":2}`),
    ]);
    for (const cuts of [[1], [7], [1000]]) {
      const records = feed(ndjson(100), text, cuts);
      expect(outline(records)).toEqual([
        [1, { a: 1 }],
        [2, "malformed_record"],
        [4, "invalid_utf8"],
        [5, "record_too_large"],
        [6, { a: 2 }],
      ]);
      expect(records.at(-1)!.endBytes).toBe(text.length);
    }
  });
});

describe("CSV", () => {
  const cell = fc.string({
    unit: fc.constantFrom("a", '"', ",", "\n", "\r\n", " ", "é", "🙂"),
    maxLength: 6,
  });
  const quote = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  it("cuts records and cells as csv-parse does, in any chunking", () => {
    const rows = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1 });
    fc.assert(
      fc.property(rows, fc.constantFrom("\n", "\r\n"), cuts, (rows, lineEnd, cuts) => {
        const text = rows.map((row) => row.map(quote).join(",") + lineEnd).join("");
        const splitter = new LineSplitter({
          parse: (text) => ({ json: splitCells(text, ",") }),
          hasQuotes: true,
        });
        const found = feed(splitter, text, cuts);
        const options = { record_delimiter: lineEnd, relax_column_count: true, info: true } as const;
        const expected = parse(text, options) as unknown as { record: string[]; info: { bytes: number } }[];
        const isBlank = (row: string[]) => row.join(",").trim() === "";
        expect(found.map((record) => "json" in record && record.json)).toEqual(
          expected.map(({ record }) => record).filter((row) => !isBlank(row)),
        );
        expect(found.at(-1)?.endBytes ?? text.length).toBe(Buffer.byteLength(text));
      }),
    );
  });

  it("counts the lines of a record within quotes", () => {
    const text = 'data_id,data\r\n1,"two\r\nlines"\r\n2,one\r\n\r\n3,"a ""quote"""\r\n';
    expect(outline(feed(csv(), text, [3]))).toEqual([
      [2, { data_id: "1", data: "two\r\nlines" }],
      [4, { data_id: "2", data: "one" }],
      [6, { data_id: "3", data: 'a "quote"' }],
    ]);
  });

  it.each([
    ["is never closed", '2,"open\n3,three\n4,"four"\n', [3, "malformed_record"]],
    ["stands in the middle of a cell", '2,5" pipe\n3,three\n4,"four"\n', [3, "malformed_record"]],
    ["closes too early", '2,"a" b\n3,three\n4,"four"\n', [3, "malformed_record"]],
  ])("one stray quote harms one line where it %s", (_, broken, expected) => {
    const text = `data_id,data\n1,one\n${broken}5,five`;
    for (const cuts of [[1], [9], [1000]]) {
      expect(outline(feed(csv(), text, cuts))).toEqual([
        [2, { data_id: "1", data: "one" }],
        expected,
        [4, { data_id: "3", data: "three" }],
        [5, { data_id: "4", data: "four" }],
        [6, { data_id: "5", data: "five" }],
      ]);
    }
  });

  it("gives up on an open quote when the record would be too long", () => {
    const rows = Array.from({ length: 50 }, (_, i) => `${i},fine`);
    const text = ["data_id,data", '0,"open', ...rows].join("\n");
    const records = feed(csv(100), text, [13]);
    expect(records).toHaveLength(51);
    expect(outline(records)[0]).toEqual([2, "malformed_record"]);
    expect(outline(records).at(-1)).toEqual([52, { data_id: "49", data: "fine" }]);
  });
});
