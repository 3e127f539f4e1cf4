import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";

/** How a command has ended. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  child: ChildProcess;
  ended: Promise<Ended>;
  /** Whether it has written to stdout. */
  hasPrinted(): boolean;
}

export interface RunOptions {
  cwd?: string;
  /** Added to an environment without what would lead chow to another mesh. */
  env?: Readonly<Record<string, string>>;
  /** What is piped in; null: it stays open. */
  stdin?: string | null;
}

export const CHOW_BIN = resolve(import.meta.dirname, "../packages/cli/bin/chow");
/** Followed by what somebody types behind `chow`. */
export const CHOW: readonly string[] = [process.execPath, CHOW_BIN];

/** Starts a command that a test reads, feeds or ends. */
export function startCommand(
  [file, ...args]: readonly string[],
  { cwd, env = {}, stdin = "" }: RunOptions = {},
): Running {
  const neutral = Object.entries(process.env).filter(([name]) => !name.startsWith("CHOWHOUND_"));
  const child = spawn(file!, args, {
    cwd,
    env: { ...Object.fromEntries(neutral), ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  // A command that doesn't read its input has closed it by then.
  child.stdin.on("error", () => {});
  if (stdin !== null) child.stdin.end(stdin);
  let printed = false;
  child.stdout.once("data", () => {
    printed = true;
  });
  const ended = Promise.all([once(child, "close"), text(child.stdout), text(child.stderr)]).then(
    ([[code], stdout, stderr]) => ({ code: code as number | null, stdout, stderr }),
  );
  return { child, ended, hasPrinted: () => printed };
}
