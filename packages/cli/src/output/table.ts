import { printable } from "./format.ts";
import type { Style } from "./output.ts";

/** One column of a table. */
export interface Column {
  title: string;
  /** Numbers stand on the right. */
  align?: "left" | "right";
}

export type Cell = string | { text: string; style: Style };

/**
 * Rows under their titles, aligned, without trailing blanks. A column without any text is left out. What is in a cell
 * can't write to the terminal beside it.
 *
 * @param paint applies a style
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  paint: (style: Style, text: string) => string,
): string[] {
  const lines: Cell[][] = [columns.map(({ title }) => title), ...rows.map((row) => [...row])];
  const shown = columns
    .map((_, index) => index)
    .filter((index) => rows.some((row) => textOf(row[index]) !== ""));
  const widths = columns.map((_, index) => Math.max(...lines.map((row) => width(textOf(row[index])))));
  return lines.map((row) =>
    (rows.length === 0 ? columns.map((_, index) => index) : shown)
      .map((index, position, all) => {
        const cell = row[index] ?? "";
        const text = textOf(cell);
        const padding = " ".repeat(widths[index]! - width(text));
        const painted = typeof cell === "string" || text === "" ? text : paint(cell.style, text);
        if (columns[index]!.align === "right") return padding + painted;
        return position === all.length - 1 ? painted : painted + padding;
      })
      .join("  ")
      .trimEnd(),
  );
}

function textOf(cell: Cell | undefined): string {
  return cell === undefined ? "" : printable(typeof cell === "string" ? cell : cell.text);
}

/** Columns on the terminal, near enough: wide and combined characters are rare in what is shown here. */
function width(text: string): number {
  return [...text].length;
}
