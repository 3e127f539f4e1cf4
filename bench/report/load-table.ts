import type { Measurement } from "../measurement.ts";
import { figureOf, type Row, type Table } from "./table.ts";

/** How a table of loads is made of rounds. */
export interface LoadTableOptions<Column extends string> {
  name: string;
  /** Titles, in their order. */
  columns: Readonly<Record<Column, string>>;
  /** The columns that others are compared with, round by round, and what that row is called. */
  ratios: readonly { to: Column; title: string; of: "speed" | "cpu"; chart?: string }[];
  /** Of the row of speeds, if it is drawn. */
  speedChart?: string;
  /** With a row of the requests' bytes. */
  showsBytes?: boolean;
}

const ELSEWHERE = "with anything else";
/** What a machine does that has nothing to do, and what the clocks' ticks make of that. */
const QUIET_CORES = 0.25;

const PROCESSES = [
  "producer",
  "gateway",
  "enricher",
  "dedup",
  "store",
  "door",
  "connect",
  "nats",
  "postgres",
  "receiver",
];

/** Speed and CPU of each process by column. A column that a round lacks is left empty. */
export function loadTable<Column extends string>(
  rounds: readonly Partial<Record<Column, Measurement>>[],
  { name, columns, ratios, speedChart, showsBytes }: LoadTableOptions<Column>,
): Table {
  const names = Object.keys(columns) as Column[];
  const row = (
    title: string,
    decimals: number,
    value: (measurement: Measurement, round: Partial<Record<Column, Measurement>>) => number | undefined,
    chart?: string,
  ): Row => ({
    title,
    decimals,
    cells: names.map((column) =>
      figureOf(rounds, (round) => {
        const measurement = round[column];
        return measurement && value(measurement, round);
      }),
    ),
    ...(chart !== undefined && { chart }),
  });
  const processes = PROCESSES.filter((process) =>
    rounds.some((round) => names.some((column) => cpuUsOf(round[column], process) !== undefined)),
  );
  const ratioRows = ratios.map(({ to, title, of, chart }) =>
    row(
      title,
      of === "cpu" ? 3 : 2,
      (measurement, round) => {
        const base = round[to];
        if (base === undefined) return undefined;
        if (of === "speed") return speed(measurement) / speed(base);
        const [spent, ofBase] = [cpuPerRecordUs(measurement), cpuPerRecordUs(base)];
        return spent === undefined || ofBase === undefined ? undefined : spent / ofBase;
      },
      chart,
    ),
  );
  const rows = [
    row("records/s", 0, speed, speedChart),
    ...(showsBytes ? [row("MB/s", 1, megabytesPerSecond)] : []),
    ...ratioRows,
    ...processes.map((process) =>
      row(`${process}, µs CPU/record`, 1, (measurement) => {
        const us = cpuUsOf(measurement, process);
        return us === undefined ? undefined : us / measurement.records;
      }),
    ),
    row("all, µs CPU/record", 1, cpuPerRecordUs),
    row("all but postgres, µs CPU/record", 1, cpuWithoutPostgresUs),
    row("cores busy with it", 1, cores),
    row(ELSEWHERE, 1, coresElsewhere),
  ];
  return {
    name,
    columns: Object.values(columns),
    rows: rows.filter(({ cells }) => cells.some((cell) => cell !== null)),
  };
}

/** Why the figures of a table of loads may be wrong, a line each. */
export function doubtsAbout({ rows }: Table): string[] {
  const elsewhere = rows.find(({ title }) => title === ELSEWHERE)?.cells.flatMap((cell) => cell ?? []) ?? [];
  const doubts: string[] = [];
  if (elsewhere.some(({ median }) => median > QUIET_CORES))
    doubts.push("The machine was not quiet: trust ratios and CPU per record more than speeds.");
  if (elsewhere.some(({ median }) => median < -QUIET_CORES))
    doubts.push("The processes' CPU time adds up to more than the machine's: something was counted twice.");
  return doubts;
}

/** What became of a load's records, in one line. */
export function describeLoad({ verdicts, batches, transactions, records, retries }: Measurement): string {
  const found = Object.entries(verdicts).map(([verdict, n]) => `${verdict} ${n.toLocaleString("en")}`);
  const perBatch = Math.round(records / batches);
  return `${found.join(", ")}; ${batches} batches of about ${perBatch} in ${transactions} transactions; ${retries} calls sent again`;
}

export function speed({ records, elapsedMs }: Measurement): number {
  return records / (elapsedMs / 1000);
}

function megabytesPerSecond({ requestBytes, elapsedMs }: Measurement): number | undefined {
  return requestBytes === undefined ? undefined : requestBytes / 1e6 / (elapsedMs / 1000);
}

/** Of all processes. */
export function cpuPerRecordUs(measurement: Measurement): number | undefined {
  const us = allCpuUs(measurement);
  return us === undefined ? undefined : us / measurement.records;
}

function cpuWithoutPostgresUs(measurement: Measurement): number | undefined {
  const all = cpuPerRecordUs(measurement);
  return all === undefined ? undefined : all - (measurement.cpuUs?.postgres ?? 0) / measurement.records;
}

function cores(measurement: Measurement): number | undefined {
  const us = allCpuUs(measurement);
  return us === undefined ? undefined : us / (measurement.elapsedMs * 1000);
}

/** Below 0 where the processes' sum is more than the machine's count: a little, for the two don't tick together. */
function coresElsewhere(measurement: Measurement): number | undefined {
  const us = allCpuUs(measurement);
  if (us === undefined || measurement.machineCpuUs === undefined) return undefined;
  return (measurement.machineCpuUs - us) / (measurement.watchedMs * 1000);
}

/** Of all replicas of it: `gateway`, `gateway-2` and so on. */
function cpuUsOf(measurement: Measurement | undefined, process: string): number | undefined {
  const replicas = Object.entries(measurement?.cpuUs ?? {}).filter(
    ([name]) => name.replace(/-\d+$/, "") === process,
  );
  return replicas.length === 0 ? undefined : replicas.reduce((sum, [, us]) => sum + us, 0);
}

function allCpuUs({ cpuUs }: Measurement): number | undefined {
  return cpuUs && Object.values(cpuUs).reduce((sum, us) => sum + us, 0);
}
