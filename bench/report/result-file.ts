import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Machine } from "../machine.ts";
import type { Table } from "./table.ts";

/** What one scenario found, with all that its figures have to be read with. */
export interface Result {
  command: string;
  /** A day, as in "2026-11-30". */
  measuredOn: string;
  machine: Machine;
  quick: boolean;
  tables: readonly Table[];
  /** All that was measured, round by round. */
  rounds: readonly unknown[];
}

const directory = join(import.meta.dirname, "..", "results");

/** Of the last run with --save; undefined if there was none. */
export function readResult(scenario: string): Result | undefined {
  const file = fileOf(scenario);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Result) : undefined;
}

export async function saveResult(scenario: string, result: Result): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeFile(fileOf(scenario), `${JSON.stringify(result, null, 1)}\n`);
}

function fileOf(scenario: string): string {
  return join(directory, `${scenario}.json`);
}
