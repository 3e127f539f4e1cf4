import type { CopyTool } from "./psql-copy.ts";
import type { Table } from "./report/table.ts";

/** What a scenario runs with; numbers that weren't asked for are its own to choose. */
export interface ScenarioContext {
  /** A small run, to see that it works. */
  quick: boolean;
  /** Of one load. */
  records: number | undefined;
  rounds: number | undefined;
  /** How long what runs for a while runs. */
  seconds: number | undefined;
  /** Where services write CPU profiles. */
  profileDir: string | undefined;
  copyTool: CopyTool;
  signal: AbortSignal;
  /** A line for whoever waits. */
  log: (line: string) => void;
}

export interface ScenarioResult {
  tables: readonly Table[];
  /** All that was measured, round by round. */
  rounds: readonly unknown[];
}

export interface Scenario {
  name: string;
  /** For --help: one or more lines. */
  about: string;
  /** Part of a run that names no scenario. */
  isUsual: boolean;
  run(context: ScenarioContext): Promise<ScenarioResult>;
}

/** The scenario can't be played here, for a reason to be named. */
export class SkippedError extends Error {
  override readonly name = "SkippedError";
}
