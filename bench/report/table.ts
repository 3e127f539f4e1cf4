/** Over the rounds. */
export interface Figure {
  median: number;
  min: number;
  max: number;
}

export interface Row {
  title: string;
  /** Decimals that are shown. */
  decimals: number;
  /** By column; null where there is nothing to measure. */
  cells: readonly (Figure | null)[];
  /** Drawn as bars, under this title; others aren't. */
  chart?: string;
}

/** What a scenario found, ready to be shown: as Markdown, and what is marked so as a chart. */
export interface Table {
  /** Unique within its scenario: names its place in the documentation, and its charts. */
  name: string;
  columns: readonly string[];
  rows: readonly Row[];
}

export function figure(values: readonly number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >>> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

/** Of each round's value, where every round has one. */
export function figureOf<T>(rounds: readonly T[], value: (round: T) => number | undefined): Figure | null {
  const values = rounds.map(value);
  return values.every((found) => found !== undefined) ? figure(values) : null;
}

/** A Markdown table: the medians and, where rounds differ, the least and the greatest. */
export function renderTable({ columns, rows }: Table): string {
  return renderRows([
    ["", ...columns],
    ...rows.map(({ title, decimals, cells }) => [title, ...cells.map((cell) => renderCell(cell, decimals))]),
  ]);
}

export function formatNumber(value: number, decimals: number): string {
  const text = value.toLocaleString("en", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
  // Nothing, rounded from below.
  return /^-[0.]+$/.test(text) ? text.slice(1) : text;
}

function renderCell(cell: Figure | null, decimals: number): string {
  if (cell === null) return "";
  const format = (value: number): string => formatNumber(value, decimals);
  const [least, greatest] = [format(cell.min), format(cell.max)];
  return least === greatest ? format(cell.median) : `${format(cell.median)} (${least}–${greatest})`;
}

function renderRows(rows: readonly string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const pad = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  const lines = rows.map((row) => `| ${row.map(pad).join(" | ")} |`);
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [lines[0], `| ${rule.join(" | ")} |`, ...lines.slice(1)].join("\n");
}
