import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Clock ticks of /proc: the kernel's USER_HZ, 100 on every architecture that Node runs on. */
const TICK_US = 10_000;

/** Whether CPU time of other processes can be measured here. */
export const canMeasureCpu: boolean = process.platform === "linux";

/**
 * The CPU time, user and system, in microseconds, that a process and all its descendants have used: those that live
 * and those it has waited for. In steps of 10 ms; undefined where it can't be measured.
 */
export function cpuTimeUs(pid: number): number | undefined {
  if (!canMeasureCpu) return undefined;
  return descendants(pid)
    .map((member) => readTimes(member))
    .reduce((sum, { ownUs, waitedForUs }) => sum + ownUs + waitedForUs, 0);
}

/** The same for what this process has started and seen end. */
export function endedChildrenCpuTimeUs(): number | undefined {
  return canMeasureCpu ? readTimes(process.pid).waitedForUs : undefined;
}

/** The CPU time that the whole machine has spent on anything, in microseconds; undefined where it can't be measured. */
export function machineCpuTimeUs(): number | undefined {
  if (!canMeasureCpu) return undefined;
  const [line = ""] = readFileSync("/proc/stat", "latin1").split("\n");
  // user, nice, system, idle, iowait, irq, softirq, steal; see proc_stat(5).
  const [user, nice, system, , , irq, softIrq, steal] = line.split(/ +/).slice(1).map(Number);
  return (user! + nice! + system! + irq! + softIrq! + steal!) * TICK_US;
}

/** As in "2 × AMD EPYC". */
export function describeCpu(): string {
  const all = cpus();
  return `${all.length} × ${all[0]?.model.trim() ?? process.arch}`;
}

function descendants(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(descendants)];
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "latin1").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    // It has ended: its time is with its parent.
    return [];
  }
}

function readTimes(pid: number): { ownUs: number; waitedForUs: number } {
  try {
    return parseTimes(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return { ownUs: 0, waitedForUs: 0 };
  }
}

/** From a line of /proc/<pid>/stat; see proc_pid_stat(5). */
export function parseTimes(stat: string): { ownUs: number; waitedForUs: number } {
  // The command name, in parentheses, may itself hold spaces and parentheses; the fields follow the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user, system, userOfChildren, systemOfChildren] = fields.slice(11, 15).map(Number);
  return {
    ownUs: (user! + system!) * TICK_US,
    waitedForUs: (userOfChildren! + systemOfChildren!) * TICK_US,
  };
}
