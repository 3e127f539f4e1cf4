import { setTimeout as sleep } from "node:timers/promises";
import { isRunning, processStart } from "./process-start.ts";

/** A process as it was noted: the start time tells it from a later one with the same pid. */
export interface ProcessNote {
  pid: number;
  start?: string | undefined;
}

export function noteProcess(pid: number): ProcessNote {
  return { pid, start: processStart(pid) };
}

/** Stops a process that isn't a child of this one: by the signal, and by SIGKILL if that takes over 10 seconds. */
export async function stopProcess(noted: ProcessNote, stopSignal: NodeJS.Signals): Promise<void> {
  for (const signal of [stopSignal, "SIGKILL"] as const) {
    if (!isRunning(noted.pid, noted.start)) return;
    process.kill(noted.pid, signal);
    for (let waitedMs = 0; waitedMs < 10_000; waitedMs += 50) {
      await sleep(50);
      if (!isRunning(noted.pid, noted.start)) return;
    }
  }
  throw new Error(`process ${noted.pid} does not stop`);
}
