import { expect, test } from "vitest";
import { UsageError } from "../cli-error.ts";
import { createSplitter, type Input } from "./input.ts";

const csv = { format: "csv", delimiter: "," } as Input;

function read(text: Buffer): unknown[] {
  const splitter = createSplitter(csv);
  return [...splitter.push(text), ...splitter.end()];
}

test.each([
  ["isn't UTF-8", Buffer.from("artikel,größe\na,1\nb,2\n", "latin1")],
  ["has a quote that is closed nowhere", Buffer.from('sku,width (")\na,1\nb,2\n')],
])("a header that %s is refused: the first row is none", (_what, text) => {
  expect(() => read(text)).toThrow(UsageError);
  expect(() => read(text)).toThrow("the header of the CSV file");
});

test("a row that isn't UTF-8 is rejected alone", () => {
  const records = read(Buffer.from("sku,size\na,größe\nb,2\n", "latin1"));
  expect(records).toMatchObject([{ rejection: {} }, { json: {} }]);
});
