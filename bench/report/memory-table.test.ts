import { expect, test } from "vitest";
import { memoryTable, quarters } from "./memory-table.ts";

test("each process's memory by quarters: the median, the least and the greatest", () => {
  const samples = Array.from({ length: 9 }, (_, i) => ({ atMs: i * 100, rssBytes: { store: i * 2 ** 20 } }));
  const { columns, rows } = memoryTable(samples, { name: "memory", stretches: quarters(800, "the end") });
  expect(columns).toEqual(["store"]);
  expect(rows.map(({ cells }) => cells[0])).toEqual([
    { median: 1, min: 0, max: 2 },
    { median: 3, min: 2, max: 4 },
    { median: 5, min: 4, max: 6 },
    { median: 7, min: 6, max: 8 },
  ]);
  expect(rows.map(({ chart }) => chart)).toEqual([undefined, undefined, undefined, "the end"]);
});

test("a process that could not be read has no figures", () => {
  const samples = [
    { atMs: 0, rssBytes: { store: 1 } },
    { atMs: 600, rssBytes: {} },
  ];
  const { rows } = memoryTable(samples, { name: "memory", stretches: quarters(800, "the end") });
  expect(rows[2]!.cells).toEqual([null]);
});
