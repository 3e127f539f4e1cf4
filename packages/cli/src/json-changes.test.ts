import { expect, test } from "vitest";
import { jsonChanges } from "./json-changes.ts";

test("objects are compared by their fields, everything else as a whole", () => {
  const before = { same: 1, gone: true, list: [1, 2], deep: { a: 1, b: 2 }, kind: { x: 1 } };
  const after = { same: 1, new: null, list: [1, 3], deep: { a: 1, b: 3 }, kind: "text" };
  expect(jsonChanges(before, after, "metadata")).toEqual([
    { path: "metadata.gone", before: true, after: undefined },
    { path: "metadata.list", before: [1, 2], after: [1, 3] },
    { path: "metadata.deep.b", before: 2, after: 3 },
    { path: "metadata.kind", before: { x: 1 }, after: "text" },
    { path: "metadata.new", before: undefined, after: null },
  ]);
  expect(jsonChanges(undefined, "x", "data_id")).toEqual([
    { path: "data_id", before: undefined, after: "x" },
  ]);
  expect(jsonChanges("x", "x", "data_id")).toEqual([]);
});
