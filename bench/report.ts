import type { Measurement, Round } from "./run-round.ts";

/** Over the rounds. */
export interface Figure {
  median: number;
  min: number;
  max: number;
}

/** One column of the table. */
export interface ColumnSummary {
  recordsPerSecond: Figure;
  /** To the copy of the same round. */
  speedToCopy: Figure;
  /** Microseconds per record by process, and "all" of them; empty where it can't be measured. */
  cpuPerRecordUs: Record<string, Figure>;
  /** Kept busy by those processes, and by everything else on the machine. */
  cores: Figure | undefined;
  coresElsewhere: Figure | undefined;
}

export type Summary = Record<keyof Round, ColumnSummary>;

const COLUMNS = ["fresh", "resent", "updates", "copy"] as const satisfies readonly (keyof Round)[];
const PROCESSES = ["producer", "gateway", "enricher", "dedup", "store", "nats", "postgres", "all"];

export function summarize(rounds: readonly Round[]): Summary {
  const column = (name: keyof Round): ColumnSummary => {
    const isMeasured = rounds.every((round) => round[name].cpuUs !== undefined);
    const processes = isMeasured
      ? PROCESSES.filter((process) => process === "all" || process in rounds[0]![name].cpuUs!)
      : [];
    return {
      recordsPerSecond: figure(rounds.map((round) => speed(round[name]))),
      speedToCopy: figure(rounds.map((round) => speed(round[name]) / speed(round.copy))),
      cpuPerRecordUs: Object.fromEntries(
        processes.map((process) => [process, figure(rounds.map((round) => cpu(round[name], process)))]),
      ),
      cores: isMeasured ? figure(rounds.map((round) => cores(round[name]))) : undefined,
      coresElsewhere: isMeasured ? figure(rounds.map((round) => coresElsewhere(round[name]))) : undefined,
    };
  };
  return Object.fromEntries(COLUMNS.map((name) => [name, column(name)])) as Summary;
}

/** A Markdown table: the medians and, with several rounds, the least and the greatest. */
export function renderTable(summary: Summary, copyTitle: string): string {
  const row = (title: string, cell: (column: ColumnSummary) => string): string[] => [
    title,
    ...COLUMNS.map((name) => cell(summary[name])),
  ];
  const measured = PROCESSES.filter((process) => process in summary.fresh.cpuPerRecordUs);
  const rows = [
    ["", ...COLUMNS.map((name) => (name === "copy" ? copyTitle : name))],
    row("records/s", ({ recordsPerSecond }) =>
      render(recordsPerSecond, (n) => Math.round(n).toLocaleString("en")),
    ),
    row("speed, of the copy's", ({ speedToCopy }) => render(speedToCopy, (n) => n.toFixed(2))),
    ...measured.map((process) =>
      row(`${process}, µs CPU/record`, ({ cpuPerRecordUs }) => {
        const spent = cpuPerRecordUs[process];
        return spent === undefined ? "" : render(spent, (n) => n.toFixed(1));
      }),
    ),
    ...(measured.length === 0
      ? []
      : [
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
