import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { expect, test } from "vitest";
import { csvRow } from "./csv.ts";

test("what a CSV reader makes of a row are its cells", () => {
  const cells = fc.array(fc.string({ unit: "grapheme" }), { minLength: 2, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(cells, { minLength: 1, maxLength: 3 }), (rows) => {
      const text = rows.map((row) => `${csvRow(row)}\n`).join("");
      expect(parse(text, { relax_column_count: true })).toEqual(rows);
    }),
  );
});

test.each(['a"b', "a,b", "a\nb", "a\rb"])("%j is quoted", (cell) => {
  expect(csvRow([cell, "x"])).toBe(`"${cell.replaceAll('"', '""')}",x`);
});
