import { expect, test } from "vitest";
import type { Measurement } from "./measure-load.ts";
import { figure, renderTable, summarize } from "./report.ts";
import { COLUMNS, type Round } from "./run-round.ts";

const load = (elapsedMs: number, cpuUs: Record<string, number> | undefined): Measurement => ({
  records: 1000,
  elapsedMs,
  cpuUs,
  machineCpuUs: cpuUs === undefined ? undefined : 34_000,
  verdicts: {},
  batches: 2,
  transactions: 1,
  retries: 0,
});
const round = (psqlMs: number, meshMs: number): Round => ({
  fresh: load(meshMs, { producer: 1000, gateway: 3000, postgres: 10_000 }),
  resent: load(meshMs, { producer: 1000, gateway: 3000, postgres: 0 }),
  updates: load(meshMs, { producer: 1000, gateway: 3000, postgres: 20_000 }),
  copy: load(psqlMs, { producer: 500, postgres: 5000 }),
});

const summarizeRounds = (...rounds: Round[]) => summarize(rounds, COLUMNS, "copy");
const titles = {
  columns: { fresh: "fresh", resent: "resent", updates: "updates", copy: "psql \\copy" },
  speed: "speed, of the copy's",
};

test("median, least and greatest", () => {
  expect(figure([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5 });
  expect(figure([4, 1])).toEqual({ median: 2.5, min: 1, max: 4 });
});

test("the ratio is that of each round to the copy beside it, not of the medians", () => {
  const { fresh, copy } = summarizeRounds(round(10, 20), round(100, 100), round(30, 120));
  expect(fresh.speedToBaseline).toEqual({ median: 0.5, min: 0.25, max: 1 });
  expect(copy.speedToBaseline).toEqual({ median: 1, min: 1, max: 1 });
});

test("CPU is told per record, process by process and for all", () => {
  const { fresh, copy } = summarizeRounds(round(10, 20));
  expect(fresh.cpuPerRecordUs.gateway?.median).toBe(3);
  expect(fresh.cpuPerRecordUs.all?.median).toBe(14);
  expect(copy.cpuPerRecordUs).not.toHaveProperty("gateway");
});

test("cores kept busy by the benchmark and by anything else", () => {
  const { fresh } = summarizeRounds(round(10, 20));
  expect(fresh.cores?.median).toBeCloseTo(0.7);
  expect(fresh.coresElsewhere?.median).toBeCloseTo(1);
});

test("a table without CPU where it can't be measured", () => {
  const unmeasured: Round = {
    fresh: load(20, undefined),
    resent: load(20, undefined),
    updates: load(20, undefined),
    copy: load(10, undefined),
  };
  expect(renderTable(summarizeRounds(unmeasured), titles)).toBe(
    [
      "|                      |  fresh | resent | updates | psql \\copy |",
      "| -------------------- | -----: | -----: | ------: | ---------: |",
      "| records/s            | 50,000 | 50,000 |  50,000 |    100,000 |",
      "| speed, of the copy's |   0.50 |   0.50 |    0.50 |       1.00 |",
    ].join("\n"),
  );
});

test("the CPU of all is compared round by round, where the table wants it", () => {
  const summary = summarizeRounds(round(10, 20), round(10, 20));
  expect(summary.fresh.cpuToBaseline?.median).toBeCloseTo(14 / 5.5);
  expect(renderTable(summary, { ...titles, cpu: "CPU, of the copy's" })).toMatch(
    /^\| CPU, of the copy's +\| +2\.545 \|/m,
  );
});
