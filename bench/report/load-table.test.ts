import { expect, test } from "vitest";
import type { Measurement } from "../measurement.ts";
import { doubtsAbout, loadTable } from "./load-table.ts";
import type { Figure } from "./table.ts";

const load = (elapsedMs: number, cpuUs: Record<string, number> | undefined): Measurement => ({
  records: 1000,
  elapsedMs,
  watchedMs: 2 * elapsedMs,
  cpuUs,
  machineCpuUs: cpuUs === undefined ? undefined : 34_000,
  verdicts: {},
  batches: 2,
  transactions: 1,
  retries: 0,
});
const round = (copyMs: number, meshMs: number) => ({
  fresh: load(meshMs, { producer: 1000, gateway: 3000, postgres: 10_000 }),
  copy: load(copyMs, { producer: 500, postgres: 5000 }),
});
const tableOf = (...rounds: Partial<Record<"fresh" | "copy", Measurement>>[]) =>
  loadTable<"fresh" | "copy">(rounds, {
    name: "loads",
    columns: { fresh: "fresh", copy: "psql \\copy" },
    ratios: [
      { to: "copy", of: "speed", title: "speed, of the copy's" },
      { to: "copy", of: "cpu", title: "CPU, of the copy's" },
    ],
  });
const cells = (table: ReturnType<typeof tableOf>, title: string): (Figure | null)[] => [
  ...table.rows.find((row) => row.title === title)!.cells,
];

test("the ratio is that of each round to the copy beside it, not of the medians", () => {
  const [fresh, copy] = cells(
    tableOf(round(10, 20), round(100, 100), round(30, 120)),
    "speed, of the copy's",
  );
  expect(fresh).toEqual({ median: 0.5, min: 0.25, max: 1 });
  expect(copy).toEqual({ median: 1, min: 1, max: 1 });
});

test("CPU is told per record, process by process and for all", () => {
  const table = tableOf(round(10, 20));
  expect(cells(table, "gateway, µs CPU/record").map((cell) => cell?.median)).toEqual([3, undefined]);
  expect(cells(table, "all, µs CPU/record").map((cell) => cell?.median)).toEqual([14, 5.5]);
  expect(cells(table, "CPU, of the copy's")[0]?.median).toBeCloseTo(14 / 5.5);
});

test("a service's replicas are told together", () => {
  const table = tableOf({ fresh: load(20, { gateway: 3000, "gateway-2": 2000, "gateway-10": 1000 }) });
  expect(cells(table, "gateway, µs CPU/record")[0]?.median).toBe(6);
});

test("cores kept busy by the benchmark and, while they were watched, by anything else", () => {
  const table = tableOf(round(10, 20));
  expect(cells(table, "cores busy with it")[0]?.median).toBeCloseTo(0.7);
  expect(cells(table, "with anything else")[0]?.median).toBeCloseTo(0.5);
});

test("a machine that was busy with other things, and a sum that can't be, are told", () => {
  expect(doubtsAbout(tableOf(round(10, 20)))).toEqual([expect.stringContaining("not quiet")]);
  const twice = { ...load(20, { producer: 90_000 }), machineCpuUs: 34_000 };
  expect(doubtsAbout(tableOf({ fresh: twice }))).toEqual([expect.stringContaining("counted twice")]);
  const quiet = { ...load(20, { producer: 33_000 }), machineCpuUs: 34_000 };
  expect(doubtsAbout(tableOf({ fresh: quiet }))).toEqual([]);
});

test("no CPU where it can't be measured, and nothing of a column that was left out", () => {
  const table = tableOf({ fresh: load(20, undefined) });
  expect(table.rows.map(({ title, cells }) => [title, cells.map((cell) => cell?.median)])).toEqual([
    ["records/s", [50_000, undefined]],
  ]);
});
