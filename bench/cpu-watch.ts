import { cpuTimeUs, machineCpuTimeUs } from "./cpu-time.ts";

/** CPU time, user and system, of a stretch of time. */
export interface CpuSpent {
  /** By process, descendants included. Undefined where it can't be measured. */
  cpuUs: Record<string, number> | undefined;
  /** Of the whole machine in that time, other programs included. */
  machineCpuUs: number | undefined;
  /** How long that was. */
  watchedMs: number;
}

/** Counts from now on; the function returned tells what was spent since. @param pids of processes by name */
export function watchCpu(pids: Readonly<Record<string, number | undefined>>): () => CpuSpent {
  const read = (): Record<string, number | undefined> =>
    Object.fromEntries(
      Object.entries(pids).map(([name, pid]) => [name, pid === undefined ? 0 : cpuTimeUs(pid)]),
    );
  const startedMs = performance.now();
  const machineBeforeUs = machineCpuTimeUs();
  const before = read();
  return () => {
    const after = read();
    return {
      cpuUs: spent(before, after),
      machineCpuUs: difference(machineBeforeUs, machineCpuTimeUs()),
      watchedMs: performance.now() - startedMs,
    };
  };
}

/** The same for this process, without its children. */
export function watchOwnCpu(): () => number {
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
}

export function difference(before: number | undefined, after: number | undefined): number | undefined {
  return before === undefined || after === undefined ? undefined : after - before;
}

/** By process; undefined if one of them can't be measured. */
function spent(
  before: Record<string, number | undefined>,
  after: Record<string, number | undefined>,
): Record<string, number> | undefined {
  const result: Record<string, number> = {};
  for (const name of Object.keys(before)) {
    const us = difference(before[name], after[name]);
    if (us === undefined) return undefined;
    result[name] = us;
  }
  return result;
}
