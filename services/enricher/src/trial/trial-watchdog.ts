/** A thread beside a trial, which ends the process when a record takes for ever, or when nobody waits for the result. */
import { workerData } from "node:worker_threads";

const LOOK_MS = 100;

const { progress, maxCpuMs, parentPid } = workerData as {
  progress: Int32Array;
  maxCpuMs: number;
  parentPid: number;
};
let seen = 0;
let since = process.cpuUsage();

setInterval(() => {
  if (process.ppid !== parentPid) process.kill(process.pid, "SIGKILL");
  const now = Atomics.load(progress, 0);
  const { user, system } = process.cpuUsage(since);
  if (now !== seen) {
    seen = now;
    since = process.cpuUsage();
  } else if ((user + system) / 1000 > maxCpuMs) {
    process.kill(process.pid, "SIGXCPU");
  }
}, LOOK_MS);
