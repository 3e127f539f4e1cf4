import { clip, formatCount, formatRate, formatSeconds } from "../output/format.ts";
import type { Style } from "../output/output.ts";
import { type Cell, type Column, formatTable } from "../output/table.ts";
import type { CountView, MeshView, ProcessView } from "./mesh-view.ts";

export interface ScreenSize {
  columns: number;
  rows: number;
}

type Paint = (style: Style, text: string) => string;

/** Narrower screens go without the columns of the highest rank. */
type RankedColumn = Column & { rank: number; cell(process: ProcessView): Cell };

const COLUMNS: readonly RankedColumn[] = [
  { title: "PROCESS", rank: 0, cell: ({ name }) => name },
  {
    title: "STATE",
    rank: 0,
    cell: ({ state, isRunning, throughput }) =>
      isRunning ? state : { text: state, style: throughput === undefined ? "red" : "yellow" },
  },
  {
    title: "RECORDS/S",
    align: "right",
    rank: 0,
    cell: ({ throughput }) => (throughput === undefined ? "" : formatRate(throughput.recordsPerSecond)),
  },
  {
    title: "RECORDS",
    align: "right",
    rank: 3,
    cell: ({ throughput }) => (throughput === undefined ? "" : formatCount(throughput.records)),
  },
  {
    title: "BATCHES BEHIND",
    align: "right",
    rank: 2,
    cell: ({ lag }) => (lag === undefined ? "" : formatCount(lag.batches)),
  },
  {
    title: "~RECORDS",
    align: "right",
    rank: 1,
    cell: ({ lag }) => (lag === undefined ? "" : formatCount(lag.records)),
  },
  {
    title: "OLDEST",
    align: "right",
    rank: 1,
    cell: ({ lag }) => (lag === undefined ? "" : formatAge(lag.oldestSeconds)),
  },
  {
    title: "SINCE THE START",
    rank: 4,
    cell: ({ counts }) => counts.map(({ name, total }) => `${formatCount(total)} ${name}`).join(", "),
  },
];
const HIGHEST_RANK = Math.max(...COLUMNS.map(({ rank }) => rank));

/** The mesh on one screen: lines of at most `columns` characters, at most `rows` of them. */
export function renderMesh(
  view: MeshView,
  { columns, rows }: ScreenSize,
  paint: Paint = (_, text) => text,
): string[] {
  const lines = [
    ...renderProcesses(view.processes, columns, paint),
    ...renderTroubles(view.processes, columns, paint),
    "",
    ...renderVerdicts(view.verdicts, columns),
  ];
  if (lines.length <= rows) return lines;
  const hidden = lines.length - rows + 1;
  return [...lines.slice(0, Math.max(0, rows - 1)), clip(`… ${hidden} more lines`, columns)].slice(0, rows);
}

/** With as many columns as fit. */
function renderProcesses(
  processes: readonly ProcessView[],
  columns: number,
  paint: Paint,
  highestRank = HIGHEST_RANK,
): string[] {
  const shown = COLUMNS.filter(({ rank }) => rank <= highestRank);
  const rows = processes.map((process) => shown.map(({ cell }) => cell(process)));
  const plain = formatTable(shown, rows, (_, text) => text);
  if (plain.every(({ length }) => length <= columns)) return formatTable(shown, rows, paint);
  if (highestRank === 0) return plain.map((line) => clip(line, columns));
  return renderProcesses(processes, columns, paint, highestRank - 1);
}

function renderTroubles(processes: readonly ProcessView[], columns: number, paint: Paint): string[] {
  return processes.flatMap(({ name, troubles }) =>
    troubles.map((trouble) => paint("yellow", clip(`${name}: ${trouble}`, columns))),
  );
}

/** "1,200 stored (300/s)" and so on, in as many lines as it takes. */
function renderVerdicts(verdicts: readonly CountView[], columns: number): string[] {
  if (verdicts.length === 0) return [clip("No verdicts yet", columns)];
  const lines: string[] = [];
  for (const { name, total, perSecond } of verdicts) {
    const text = `${formatCount(total)} ${name} (${formatRate(perSecond)}/s)`;
    const longer = `${lines.at(-1)}   ${text}`;
    if (lines.length > 0 && longer.length <= columns) lines[lines.length - 1] = longer;
    else lines.push(clip(text, columns));
  }
  return lines;
}

function formatAge(seconds: number | undefined): string {
  return seconds === undefined ? "-" : formatSeconds(seconds);
}
