import { readFileSync } from "node:fs";

/**
 * When the process started, in clock ticks since boot; with the pid it tells a process from a later one that got
 * the same pid. Undefined if it isn't running, or where there is no /proc.
 */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command name, in parentheses, may itself hold spaces and parentheses; the fields follow the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const isDead = fields[0] === "Z" || fields[0] === "X";
    return isDead ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Whether a process noted earlier (`start` as from {@link processStart}) still runs. */
export function isRunning(pid: number, start: string | undefined): boolean {
  if (start !== undefined) return processStart(pid) === start;
  if (process.platform === "linux") return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
