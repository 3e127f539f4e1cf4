import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import xterm, { type Terminal } from "@xterm/headless";

/** Whether there is what makes a terminal: util-linux. */
export const hasTerminal = process.platform === "linux" && existsSync("/usr/bin/script");

export interface TerminalSize {
  columns: number;
  rows: number;
}

/** A command on a terminal of its own, and what a person would see there. */
export interface OnTerminal {
  /** The lines of the screen as it is now, without blanks at their ends. */
  screen(): Promise<string[]>;
  /** The same with what has scrolled off. */
  scrollback(): Promise<string[]>;
  /** What draws it: cells, colours, cursor. */
  emulator: Terminal;
  /** Types. "\x03" is Ctrl-C. */
  type(keys: string): void;
  /** As when somebody drags the window's corner. */
  resize(size: TerminalSize): Promise<void>;
  /** With the command's exit code. */
  ended: Promise<number | null>;
}

const START_MS = 15_000;

export async function startOnTerminal(
  command: readonly string[],
  { cwd, env = {}, ...size }: TerminalSize & { cwd?: string; env?: Readonly<Record<string, string>> },
): Promise<OnTerminal> {
  const directory = await mkdtemp(join(tmpdir(), "terminal-"));
  const nameFile = join(directory, "tty");
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const neutral = Object.entries(process.env).filter(([name]) => !/^(CHOWHOUND_|CI$|NO_COLOR)/.test(name));
  const child = spawn(
    "script",
    ["-qec", `stty ${sizeOf(size)}; tty > ${nameFile}; exec ${quoted}`, "/dev/null"],
    { cwd, env: { ...Object.fromEntries(neutral), TERM: "xterm-256color", ...env } },
  );
  const emulator = new xterm.Terminal({
    cols: size.columns,
    rows: size.rows,
    scrollback: 10_000,
    allowProposedApi: true,
  });
  let written = Promise.resolve();
  child.stdout.on("data", (chunk: Buffer) => {
    written = new Promise((resolve) => emulator.write(chunk, resolve));
  });
  const ended = once(child, "close").then(async ([code]) => {
    await written;
    await rm(directory, { recursive: true, force: true });
    return code as number | null;
  });
  // A command that has ended reads no more.
  child.stdin.on("error", () => {});

  const linesFrom = async (first: number): Promise<string[]> => {
    await written;
    const { buffer } = emulator;
    return Array.from({ length: buffer.active.length - first }, (_, i) =>
      buffer.active.getLine(first + i)!.translateToString(true),
    );
  };
  return {
    emulator,
    ended,
    screen: () => linesFrom(emulator.buffer.active.baseY),
    scrollback: () => linesFrom(0),
    type: (keys) => void child.stdin.write(keys),
    resize: async (to) => {
      emulator.resize(to.columns, to.rows);
      await promisify(spawnToEnd)("stty", ["-F", await nameOf(nameFile), ...sizeOf(to).split(" ")]);
    },
  };
}

/** What the terminal is called; it is noted there before the command starts. */
async function nameOf(file: string): Promise<string> {
  for (const deadlineMs = performance.now() + START_MS; performance.now() < deadlineMs; await sleep(50)) {
    const name = await readFile(file, "utf8").catch(() => "");
    if (name.endsWith("\n")) return name.trim();
  }
  throw new Error("the terminal has no name: did `script` start?");
}

function sizeOf({ columns, rows }: TerminalSize): string {
  return `cols ${columns} rows ${rows}`;
}

function spawnToEnd(file: string, args: string[], done: (error: Error | null) => void): void {
  const child = spawn(file, args, { stdio: "inherit" });
  child.once("error", done);
  child.once("exit", (code) => done(code === 0 ? null : new Error(`${file} has ended with ${code}`)));
}
