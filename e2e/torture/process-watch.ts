import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MeshProcess } from "@chowhound/local/mesh-process";
import { ensurePostgresHome } from "@chowhound/local/postgres-home";
import { findUnprivilegedUser } from "@chowhound/local/unprivileged-user";
import type { FaultMesh } from "../faults/harness/fault-mesh.ts";

const EVERY_MS = 500;
const MIB = 2 ** 20;
/** What no process may need, with bounds of 64 MiB in flight and streams of 16 MiB. */
const MAX_RSS_BYTES = 640 * MIB;

/** Looks at the processes of a mesh from outside: memory, ends that nobody asked for, and what they write. */
export interface ProcessWatch {
  /** The most memory that a process had, in bytes, by its name. Empty on systems without /proc. */
  readonly maxRss: ReadonlyMap<string, number>;
  /** What is wrong, of what was seen since the last time. */
  findings(): Promise<string[]>;
  /** Meanwhile these processes may end, and what Node says of that is no finding. */
  whileCrashing(processes: readonly string[], action: () => Promise<void>): Promise<void>;
  stop(): void;
}

/** Lines that no fault explains, by what writes them. */
const UNEXPECTED: Record<string, RegExp> = {
  nats: /\[FTL\]|panic:|^goroutine |fatal error/,
  postgres: /PANIC:|TRAP:|corrupted|invalid page/,
  // Each line is JSON; else Node itself has something to say: that it is out of memory, or a warning.
  service:
    /^[^{]|"level":"fatal"|unhandled|a call failed unexpectedly|(admin|audit|pipeline|dead letter) call failed/,
};
/** The same for a service that is being made to run out of memory, of which Node tells at length. */
const UNEXPECTED_OF_A_CRASH = /^\{.*("level":"fatal"|unhandled|a call failed unexpectedly)/;
const MAX_SHOWN = 3;

export function watchProcesses(mesh: FaultMesh): ProcessWatch {
  const maxRss = new Map<string, number>();
  const readTo = new Map<string, number>();
  const ends: string[] = [];
  const seen: string[] = [];
  const crashing = new Set<string>();
  let isOver = false;

  for (const process of mesh.processes)
    process.onUnexpectedExit(({ exit }) => {
      // Drained: asked by its admin port. Killed: by a fault.
      if (exit.code !== 0 && exit.signal !== "SIGKILL" && !crashing.has(process.name))
        ends.push(`${process.name} ended with code ${exit.code}, signal ${exit.signal}`);
    });

  const measure = async (): Promise<void> => {
    while (!isOver) {
      for (const { name, pid } of mesh.processes) {
        // PostgreSQL is many processes that share their memory: no one number.
        if (pid === undefined || name === "postgres" || crashing.has(name)) continue;
        const bytes = await readRss(pid);
        maxRss.set(name, Math.max(bytes, maxRss.get(name) ?? 0));
      }
      await sleep(EVERY_MS);
    }
  };
  if (process.platform === "linux") void measure();

  /** What a process has written since the last time that is like the pattern. */
  const readLines = async (process: MeshProcess, pattern: RegExp): Promise<string[]> => {
    const logFile = process.name === "postgres" ? await postgresLog(mesh) : process.logFile;
    const from = readTo.get(logFile) ?? 0;
    const text = await readFrom(logFile, from);
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    readTo.set(logFile, from + Buffer.byteLength(whole));
    const lines = whole.split("\n").filter((line) => line !== "" && pattern.test(line));
    const shown = lines.slice(0, MAX_SHOWN).map((line) => `${process.name} wrote: ${line.slice(0, 1_000)}`);
    if (lines.length > MAX_SHOWN)
      shown.push(`${process.name} wrote ${lines.length - MAX_SHOWN} more like it`);
    return shown;
  };

  return {
    maxRss,
    async findings() {
      const findings = [...ends.splice(0), ...seen.splice(0)];
      for (const [name, bytes] of maxRss)
        if (bytes > MAX_RSS_BYTES) findings.push(`${name} needed ${Math.round(bytes / MIB)} MiB of memory`);
      for (const process of mesh.processes) {
        const kind = process.name.replace(/-\d+$/, "");
        findings.push(...(await readLines(process, UNEXPECTED[kind] ?? UNEXPECTED.service!)));
      }
      return findings;
    },
    async whileCrashing(names, action) {
      const processes = names.map((name) => mesh.process(name));
      for (const process of processes) seen.push(...(await readLines(process, UNEXPECTED.service!)));
      for (const name of names) crashing.add(name);
      try {
        await action();
      } finally {
        for (const process of processes) seen.push(...(await readLines(process, UNEXPECTED_OF_A_CRASH)));
        for (const name of names) crashing.delete(name);
      }
    },
    stop() {
      isOver = true;
    },
  };
}

/** Where the database really is: not below a directory that its user can't reach. */
async function postgresLog({ dataDir }: FaultMesh): Promise<string> {
  const home = await ensurePostgresHome(join(dataDir, "postgres"), findUnprivilegedUser());
  return join(home, "postgres.log");
}

/** 0 where the process is gone. */
async function readRss(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

async function readFrom(file: string, position: number): Promise<string> {
  await using handle = await open(file);
  const { size } = await handle.stat();
  const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(size - position), position });
  return buffer.toString("utf8", 0, bytesRead);
}
