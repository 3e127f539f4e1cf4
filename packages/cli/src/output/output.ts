import { once } from "node:events";
import type { Writable } from "node:stream";
import { styleText } from "node:util";
import type { JsonValue } from "@bufbuild/protobuf";
import { type Cell, type Column, formatTable } from "./table.ts";

/** As in node:util's styleText. */
export type Style = Parameters<typeof styleText>[0];

/** Where results (stdout) and notes (stderr) go. */
export interface Output {
  /** JSON is asked for. */
  json: boolean;
  stdout: Writable;
  /** stdout is a terminal. */
  isTty: boolean;
  /** The terminal's width; 100 where there is none. */
  columns: number;
  /** A part of the result as it stands. Waits while a pipe is full. */
  text(text: string): Promise<void>;
  /** One line of the result. Waits while a pipe is full. */
  line(text: string): Promise<void>;
  table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): Promise<void>;
  /** One JSON document as the whole result. */
  document(value: JsonValue): Promise<void>;
  /** One line of NDJSON. */
  event(value: JsonValue): Promise<void>;
  /** One line to stderr, not part of the result. */
  note(text: string): void;
  /** Colours on a terminal; plain elsewhere, and with NO_COLOR. */
  style(style: Style, text: string): string;
}

export function createOutput(options: {
  json: boolean;
  stdout: Writable & { isTTY?: boolean; columns?: number };
  stderr: Writable;
}): Output {
  const { json, stdout, stderr } = options;
  const write = async (text: string): Promise<void> => {
    if (!stdout.write(text)) await once(stdout, "drain");
  };
  const line = (text: string) => write(`${text}\n`);
  const style = (format: Style, text: string) => styleText(format, text, { stream: stdout });
  return {
    json,
    stdout,
    isTty: stdout.isTTY === true,
    get columns() {
      return stdout.columns ?? 100;
    },
    text: write,
    line,
    table: (columns, rows) => write(`${formatTable(columns, rows, style).join("\n")}\n`),
    document: (value) => line(JSON.stringify(value, null, 2)),
    event: (value) => line(JSON.stringify(value)),
    note: (text) => void stderr.write(`${text}\n`),
    style,
  };
}
