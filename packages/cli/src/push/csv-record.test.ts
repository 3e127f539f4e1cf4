import { describe, expect, it } from "vitest";
import { type CsvOptions, createCsvParser } from "./csv-record.ts";

function read(lines: readonly string[], options: Partial<CsvOptions> = {}) {
  const parse = createCsvParser({
    delimiter: ",",
    columns: new Map(),
    columnsTo: "metadata",
    times: "rfc3339",
    ...options,
  });
  return lines.map((line) => parse(line)).slice(1);
}

describe("createCsvParser", () => {
  it("puts columns into fields in either spelling, prefixed keys, and the rest into metadata; empty cells nowhere", () => {
    const header = "data_id,sourceType,attributes.shelf,title,metadata.pages,metadata,lang";
    expect(read([header, 'a,note,left,Amber,12,"{""open"": [1]}",', "b,,,,,,"])).toEqual([
      {
        json: {
          data_id: "a",
          source_type: "note",
          attributes: { shelf: "left" },
          metadata: { title: "Amber", pages: "12", open: [1] },
        },
      },
      { json: { data_id: "b" } },
    ]);
    expect(read(["data_id;shelf", "a;left"], { delimiter: ";", columnsTo: "attributes" })).toEqual([
      { json: { data_id: "a", attributes: { shelf: "left" } } },
    ]);
  });

  it("takes a named column for a field, and has the column of the field's own name be any other", () => {
    const columns = new Map([["data_id", "sku"]]);
    expect(read(["sku,data_id,data", "1,x,text"], { columns })).toEqual([
      { json: { data_id: "1", metadata: { data_id: "x" }, data: "text" } },
    ]);
    expect(() => read(["a,b"], { columns })).toThrow('no column "sku"; the header has a, b');
    expect(() => read(["a,a"])).toThrow("two columns of the same name");
    expect(() => read(["data_id,dataId"])).toThrow("are both data_id");
  });

  it.each([
    ["epoch-seconds", "1767225600", "2026-01-01T00:00:00.000Z"],
    ["epoch-seconds", "1767225600.000001", "2026-01-01T00:00:00.000001000Z"],
    ["epoch-millis", "1767225600123", "2026-01-01T00:00:00.123Z"],
    ["epoch-seconds", "-1", "1969-12-31T23:59:59.000Z"],
    ["rfc3339", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"],
  ] as const)("reads times in %s: %s", (times, cell, expected) => {
    expect(read(["updated_at", cell], { times })).toEqual([{ json: { updated_at: expected } }]);
  });

  it.each([
    ["1767225600", "epoch-millis is no fraction", "1.5"],
    ["1767225600", "a date is no count", "2026-01-01"],
  ])("rejects other times (%s, %s)", (_, __, cell) => {
    const [reading] = read(["created_at", cell], { times: "epoch-millis" });
    expect(reading).toMatchObject({ rejection: { field: "created_at", reason: "malformed_record" } });
  });

  it("rejects rows that don't fit the header, and cells that aren't what their column says", () => {
    expect(read(["a,b", "1,2,3", "1"])).toMatchObject([
      { rejection: { message: expect.stringContaining("3 cells, but the header has 2") } },
      { rejection: { message: expect.stringContaining("1 cells") } },
    ]);
    expect(read(["metadata", "[1]", "{"])).toMatchObject([
      { rejection: { field: "metadata" } },
      { rejection: { field: "metadata", message: expect.stringContaining("not JSON") } },
    ]);
  });

  it("keeps a column that is called __proto__", () => {
    const [reading] = read(["__proto__", "x"]);
    expect(JSON.stringify(reading)).toBe('{"json":{"metadata":{"__proto__":"x"}}}');
  });
});
