import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, openSync } from "node:fs";
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { claimDataDir } from "./data-dir-claim.ts";
import { endWithParent } from "./end-with-parent.ts";
import { isFree, PortInUseError } from "./free-port.ts";

/** How a server process ended. */
export interface ChildExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A server running as a child of this process. */
export interface ServerChild {
  pid: number;
  /** Asks it to stop and waits; kills it if it hasn't after `stopTimeoutMs`. Calling it again is harmless. */
  stop(): Promise<void>;
  /** Sends a signal, for fault tests. Wait for `exited` before starting another on the same directory. */
  kill(signal: NodeJS.Signals): void;
  exited: Promise<ChildExit>;
  /** The end of what it has logged since its start. */
  logTail(): Promise<string>;
}

/** The server ended, or wasn't ready in time. `logTail` is what it said last. */
export class ServerStartError extends Error {
  override readonly name = "ServerStartError";
  readonly logTail: string;

  constructor(message: string, logTail: string, options?: ErrorOptions) {
    super(logTail === "" ? message : `${message}\n${logTail}`, options);
    this.logTail = logTail;
  }
}

export interface ServerChildOptions {
  /** For messages, as in "nats-server did not start". */
  what: string;
  command: string;
  args: readonly string[];
  spawn?: Pick<SpawnOptions, "cwd" | "env" | "uid" | "gid">;
  /** Both outputs are appended here. */
  logFile: string;
  /** Guards the data directory, see `data-dir-claim.ts`. */
  pidFile: string;
  /** The signal that means an orderly stop. */
  stopSignal: NodeJS.Signals;
  stopTimeoutMs?: number;
  readyTimeoutMs?: number;
  /** Asked until it says yes. */
  isReady: (pid: number) => Promise<boolean>;
  /** Ports of 127.0.0.1 that have to be free, and what wants them: a stranger there could be taken for the server. */
  ports?: readonly { what: string; port: number }[];
  /** Aborted: the start is given up, what was started is stopped. */
  signal?: AbortSignal | undefined;
  log: (line: string) => void;
}

const logTailBytes = 4096;

/**
 * Starts a server and waits until it is ready. It ends with this process, see `end-with-parent.ts`.
 *
 * @throws {ServerStartError}
 * @throws {DataDirInUseError}
 * @throws {PortInUseError}
 */
export async function startServerChild(options: ServerChildOptions): Promise<ServerChild> {
  const { what, logFile, stopSignal } = options;
  const claim = await claimDataDir(options);
  let child: ChildProcess;
  let logStart: number;
  try {
    options.signal?.throwIfAborted();
    for (const { what, port } of options.ports ?? []) {
      if (!(await isFree("127.0.0.1", port))) throw new PortInUseError(what, port);
    }
  } catch (error) {
    claim.release();
    throw error;
  }
  try {
    const logFd = openSync(logFile, "a", 0o600);
    try {
      logStart = fstatSync(logFd).size;
      child = spawn(options.command, options.args, {
        ...options.spawn,
        stdio: ["ignore", logFd, logFd],
        // Its own process group: Ctrl-C is for this process, which stops its servers when it no longer needs them.
        detached: process.platform !== "win32",
      });
    } finally {
      closeSync(logFd);
    }
    await once(child, "spawn");
  } catch (error) {
    claim.release();
    throw new ServerStartError(`${what} did not start: ${(error as Error).message}`, "", { cause: error });
  }

  const pid = child.pid!;
  endWithParent(child, stopSignal);
  let hasExited = false;
  const exited = new Promise<ChildExit>((resolve) => {
    child.once("exit", (code, signal) => {
      hasExited = true;
      claim.release();
      resolve({ code, signal });
    });
  });
  claim.noteServer(pid);

  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= stopChild(child, exited, stopSignal, options.stopTimeoutMs ?? 10_000);
    return stopping;
  };

  const logTail = () => readFrom(logFile, logStart);
  try {
    await untilReady();
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid, stop, kill: (signal) => void child.kill(signal), exited, logTail };

  async function untilReady(): Promise<void> {
    const readyBeforeMs = performance.now() + (options.readyTimeoutMs ?? 30_000);
    while (!(await options.isReady(pid))) {
      options.signal?.throwIfAborted();
      if (hasExited) {
        const how = describeExit(await exited);
        throw new ServerStartError(`${what} did not start (${how}), see ${logFile}`, await logTail());
      }
      if (performance.now() > readyBeforeMs) {
        throw new ServerStartError(`${what} was not ready in time, see ${logFile}`, await logTail());
      }
      await sleep(20);
    }
  }
}

/** For messages: "exit code 1", "killed by SIGKILL". */
export function describeExit({ code, signal }: ChildExit): string {
  return signal ? `killed by ${signal}` : `exit code ${code}`;
}

async function stopChild(
  child: ChildProcess,
  exited: Promise<ChildExit>,
  stopSignal: NodeJS.Signals,
  timeoutMs: number,
): Promise<void> {
  child.kill(stopSignal);
  const deadline = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  await exited;
  clearTimeout(deadline);
}

async function readFrom(path: string, start: number): Promise<string> {
  await using file = await open(path);
  const { size } = await file.stat();
  const position = Math.max(start, size - logTailBytes);
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(size - position), position });
  return buffer.toString("utf8", 0, bytesRead).trim();
}
