import type { Measurement } from "./measure-load.ts";
import type { Round } from "./run-round.ts";

/** Over the rounds. */
export interface Figure {
  median: number;
  min: number;
  max: number;
}

/** One column of the table. */
export interface ColumnSummary {
  recordsPerSecond: Figure;
  /** To the baseline of the same round. */
  speedToBaseline: Figure;
  /** Microseconds per record by process, and "all" of them; empty where it can't be measured. */
  cpuPerRecordUs: Record<string, Figure>;
  /** All of it, to that of the baseline of the same round. */
  cpuToBaseline: Figure | undefined;
  /** Kept busy by those processes, and by everything else on the machine. */
  cores: Figure | undefined;
  coresElsewhere: Figure | undefined;
}

export type Summary<Column extends string> = Record<Column, ColumnSummary>;

/** What the columns of a table are called, and the rows that compare with the baseline. */
export interface TableTitles<Column extends string> {
  columns: Record<Column, string>;
  speed: string;
  /** Left out: no row compares CPU. */
  cpu?: string;
}

const PROCESSES = [
  "producer",
  "gateway",
  "enricher",
  "dedup",
  "store",
  "nats",
  "postgres",
  "receiver",
  "all",
];

/** @param baseline the column that the others are compared with, round by round */
export function summarize<Column extends string>(
  rounds: readonly Record<Column, Measurement>[],
  columns: readonly Column[],
  baseline: Column,
): Summary<Column> {
  const column = (name: Column): ColumnSummary => {
    const over = (value: (measurement: Measurement, baseline: Measurement) => number): Figure =>
      figure(rounds.map((round) => value(round[name], round[baseline])));
    const isMeasured = rounds.every((round) => round[name].cpuUs !== undefined);
    const processes = isMeasured
      ? PROCESSES.filter((process) => process === "all" || process in rounds[0]![name].cpuUs!)
      : [];
    return {
      recordsPerSecond: over(speed),
      speedToBaseline: over((measurement, base) => speed(measurement) / speed(base)),
      cpuPerRecordUs: Object.fromEntries(
        processes.map((process) => [process, over((measurement) => cpu(measurement, process))]),
      ),
      cpuToBaseline: isMeasured
        ? over((measurement, base) => cpu(measurement, "all") / cpu(base, "all"))
        : undefined,
      cores: isMeasured ? over(cores) : undefined,
      coresElsewhere: isMeasured ? over(coresElsewhere) : undefined,
    };
  };
  return Object.fromEntries(columns.map((name) => [name, column(name)])) as Summary<Column>;
}

/** A Markdown table: the medians and, with several rounds, the least and the greatest. */
export function renderTable<Column extends string>(
  summary: Summary<Column>,
  titles: TableTitles<Column>,
): string {
  const columns = Object.keys(summary) as Column[];
  const row = (title: string, cell: (column: ColumnSummary) => string): string[] => [
    title,
    ...columns.map((name) => cell(summary[name])),
  ];
  const measured = PROCESSES.filter((process) =>
    columns.some((name) => process in summary[name].cpuPerRecordUs),
  );
  const rows = [
    ["", ...columns.map((name) => titles.columns[name])],
    row("records/s", ({ recordsPerSecond }) =>
      render(recordsPerSecond, (n) => Math.round(n).toLocaleString("en")),
    ),
    row(titles.speed, ({ speedToBaseline }) => render(speedToBaseline, (n) => n.toFixed(2))),
    ...measured.map((process) =>
      row(`${process}, µs CPU/record`, ({ cpuPerRecordUs }) => {
        const spent = cpuPerRecordUs[process];
        return spent === undefined ? "" : render(spent, (n) => n.toFixed(1));
      }),
    ),
    ...(measured.length === 0
      ? []
      : [
          ...(titles.cpu === undefined
            ? []
            : [row(titles.cpu, ({ cpuToBaseline }) => render(cpuToBaseline!, (n) => n.toFixed(3)))]),
          row("cores busy with it", ({ cores }) => render(cores!, (n) => n.toFixed(1))),
          row("with anything else", ({ coresElsewhere }) => render(coresElsewhere!, (n) => n.toFixed(1))),
        ]),
  ];
  return renderRows(rows);
}

/** What became of the records of each load, one line each. */
export function renderVerdicts(round: Round): string {
  return (["fresh", "resent", "updates"] as const)
    .map((name) => {
      const { verdicts, batches, transactions, records, retries } = round[name];
      const found = Object.entries(verdicts).map(([verdict, n]) => `${verdict} ${n.toLocaleString("en")}`);
      const perBatch = Math.round(records / batches);
      return `${name}: ${found.join(", ")}; ${batches} batches of about ${perBatch} in ${transactions} transactions; ${retries} calls sent again`;
    })
    .join("\n");
}

export function figure(values: readonly number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >>> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

function speed({ records, elapsedMs }: Measurement): number {
  return records / (elapsedMs / 1000);
}

function cpu(measurement: Measurement, process: string): number {
  const spentUs = process === "all" ? allCpuUs(measurement) : measurement.cpuUs![process]!;
  return spentUs / measurement.records;
}

function cores(measurement: Measurement): number {
  return allCpuUs(measurement) / (measurement.elapsedMs * 1000);
}

/** Never below 0: the two clocks don't tick together. */
function coresElsewhere(measurement: Measurement): number {
  const us = measurement.machineCpuUs! - allCpuUs(measurement);
  return Math.max(0, us / (measurement.elapsedMs * 1000));
}

function allCpuUs({ cpuUs }: Measurement): number {
  return Object.values(cpuUs!).reduce((sum, us) => sum + us, 0);
}

function render({ median, min, max }: Figure, format: (value: number) => string): string {
  const [least, greatest] = [format(min), format(max)];
  return least === greatest ? format(median) : `${format(median)} (${least}–${greatest})`;
}

function renderRows(rows: readonly string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map(
    (row) =>
      `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(" | ")} |`,
  );
  const rule = `| ${widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [lines[0], rule, ...lines.slice(1)].join("\n");
}
