import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { feed, outline } from "./feed-for-test.ts";
import { JsonSplitter } from "./json-splitter.ts";

const cuts = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 });

describe("JSON", () => {
  it("gives back any objects from a list, a request or one after the other, in any chunking", () => {
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(fc.string(), fc.jsonValue())),
        fc.constantFrom("list", "request", "sequence"),
        fc.constantFrom(0, 2, "\r\n"),
        cuts,
        (objects, form, indent, cuts) => {
          const text = {
            list: () => JSON.stringify(objects, null, indent),
            request: () => JSON.stringify({ records: objects }, null, indent),
            sequence: () => objects.map((object) => JSON.stringify(object, null, indent)).join("\n"),
          }[form]!();
          fc.pre(!(form === "sequence" && objects.some((object) => Array.isArray(object.records))));
          const records = feed(new JsonSplitter(), text, cuts);
          expect(records.map((record) => "json" in record && record.json)).toEqual(
            objects.map((object) => JSON.parse(JSON.stringify(object))),
          );
          for (const { raw, line, endBytes } of records) {
            const start = endBytes - raw.length;
            expect(Buffer.from(text).subarray(start, endBytes).equals(raw)).toBe(true);
            expect(line).toBe(Buffer.from(text).subarray(0, start).toString().split("\n").length);
          }
        },
      ),
    );
  });

  it("has scalars rejected later, and a bad element alone", () => {
    expect(outline(feed(new JsonSplitter(), '[1, "x",\n{"a": nope}, {"a":1},\n[2], null]', [2]))).toEqual([
      [1, 1],
      [1, "x"],
      [2, "malformed_record"],
      [2, { a: 1 }],
      [3, [2]],
      [3, null],
    ]);
    expect(outline(feed(new JsonSplitter(), "12"))).toEqual([[1, 12]]);
  });

  it.each([
    ['[{"a":1},\n{"b":', 2, "the file ends within a record"],
    ['[{"a":1}\n,', 2, "the file ends before the list of records does"],
    ['{"records":[{"a":1}],\n"more":1}', 1, 'there is an unexpected ","'],
    ['{"a":1}\n]{"b":2}', 2, 'there is an unexpected "]"'],
    [`{"a":1}\n{"b":"${"x".repeat(300)}"}`, 2, "a record has more than 200 bytes"],
  ])("says where it can't go on: %j", (text, line, message) => {
    const records = feed(new JsonSplitter({ maxBytes: 200 }), text, [11]);
    expect(outline(records)).toEqual([
      [1, { a: 1 }],
      [line, "malformed_record"],
    ]);
    expect(records[1]).toMatchObject({ rejection: { message: expect.stringContaining(message) } });
  });
});
