/**
 * Draws what a command shows on a terminal, for docs/images:
 *
 *   node tools/terminal-picture.ts docs/images/terminal-start.svg 110x32 20 npm start
 *
 * The command runs on a terminal of that size; after so many seconds, or when it ends, its screen is written as SVG, and the
 * command gets a Ctrl-C. What it shows is left to whoever runs it: have something pushed meanwhile.
 */
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { IBufferCell } from "@xterm/headless";
import { type OnTerminal, startOnTerminal } from "../e2e/terminal.ts";

const FONT = { family: "DejaVu Sans Mono, Menlo, Consolas, monospace", px: 14, columnPx: 8.43, rowPx: 19 };
const MARGIN_PX = 20;
const COLOURS = { ground: "#0f1117", text: "#d6d9e0", dim: "#8a90a0" };
/** The sixteen colours of a terminal. */
const PALETTE = [
  ..."#3b4048 #ef6b73 #7fd88f #e5c07b #6cb6ff #c792ea #56d4dd #d6d9e0".split(" "),
  ..."#6b7280 #ff8088 #98e6a5 #f0d58c #8cc7ff #d9a8f5 #7ee3ea #ffffff".split(" "),
];

/** Characters that look alike. */
interface Stretch {
  column: number;
  text: string;
  style: string;
}

function styleOf(cell: IBufferCell): string {
  const colour = cell.isFgPalette() ? PALETTE[cell.getFgColor()] : undefined;
  const fill = colour ?? (cell.isDim() ? COLOURS.dim : COLOURS.text);
  return `fill="${fill}"${cell.isBold() ? ' font-weight="bold"' : ""}`;
}

function stretchesOf({ emulator }: OnTerminal, row: number): Stretch[] {
  const line = emulator.buffer.active.getLine(emulator.buffer.active.baseY + row)!;
  const stretches: Stretch[] = [];
  for (let column = 0; column < emulator.cols; column++) {
    const cell = line.getCell(column)!;
    const style = styleOf(cell);
    const text = cell.getChars() || " ";
    const last = stretches.at(-1);
    if (last?.style === style) last.text += text;
    else stretches.push({ column, text, style });
  }
  return stretches.map((each) => ({ ...each, text: each.text.trimEnd() })).filter(({ text }) => text !== "");
}

function draw(terminal: OnTerminal, lines: readonly string[]): string {
  const { columnPx, rowPx, px, family } = FONT;
  const rows = lines.findLastIndex((line) => line !== "") + 1;
  const width = Math.ceil(terminal.emulator.cols * columnPx + 2 * MARGIN_PX);
  const height = Math.ceil(rows * rowPx + 2 * MARGIN_PX);
  const texts = Array.from({ length: rows }, (_, row) =>
    stretchesOf(terminal, row).map(({ column, text, style }) => {
      const x = (MARGIN_PX + column * columnPx).toFixed(1);
      const y = MARGIN_PX + row * rowPx + px;
      const length = (text.length * columnPx).toFixed(1);
      return `<text x="${x}" y="${y}" textLength="${length}" ${style}>${escapeXml(text)}</text>`;
    }),
  ).flat();
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<title>${escapeXml(command.join(" "))}</title>`,
    `<rect width="100%" height="100%" rx="8" fill="${COLOURS.ground}"/>`,
    `<g font-family="${family}" font-size="${px}" xml:space="preserve">`,
    ...texts,
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const [out, size = "", seconds, ...command] = process.argv.slice(2);
const [, columns, rows] = /^(\d+)x(\d+)$/.exec(size) ?? [];
if (out === undefined || columns === undefined || !(Number(seconds) > 0) || command.length === 0)
  throw new Error("usage: node tools/terminal-picture.ts OUT.svg COLUMNSxROWS SECONDS COMMAND…");
const terminal = await startOnTerminal(command, { columns: Number(columns), rows: Number(rows) });
await Promise.race([sleep(Number(seconds) * 1000, undefined, { ref: false }), terminal.ended]);
await writeFile(out, draw(terminal, await terminal.screen()));
terminal.type("\x03");
process.exitCode = (await terminal.ended) === null ? 1 : 0;
