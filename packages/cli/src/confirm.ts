import { createInterface } from "node:readline/promises";
import type { Cli } from "./command.ts";

/** Somebody sits at a terminal. */
export function canAsk({ stdin }: Cli): boolean {
  return stdin.isTTY === true && process.stderr.isTTY === true;
}

/** Asks on a terminal; "y" and "yes" agree. Where nobody can be asked, as in a script, it is agreed. */
export async function confirm(cli: Cli, question: string): Promise<boolean> {
  if (!canAsk(cli)) return true;
  const { stdin, signal } = cli;
  const terminal = createInterface({ input: stdin, output: process.stderr });
  // While it asks, the terminal makes no signal of Ctrl-C.
  terminal.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `, { signal })).trim());
  } catch (error) {
    if (signal.aborted) throw error;
    // Ctrl-D: nothing is said.
    return false;
  } finally {
    terminal.close();
  }
}
