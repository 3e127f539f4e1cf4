import { readFileSync } from "node:fs";

/** The resident memory of processes at one time, in bytes. */
export interface MemorySample {
  atMs: number;
  rssBytes: Record<string, number>;
}

/** Samples now and then until told to stop. Of processes only, not of their children; Linux alone. @param pids by name */
export function watchMemory(
  pids: Readonly<Record<string, number | undefined>>,
  intervalMs: number,
): { samples: readonly MemorySample[]; stop(): void } {
  const startedMs = performance.now();
  const samples: MemorySample[] = [];
  const sample = (): void => {
    const rssBytes: Record<string, number> = {};
    for (const [name, pid] of Object.entries(pids)) {
      const bytes = pid === undefined ? undefined : rssOf(pid);
      if (bytes !== undefined) rssBytes[name] = bytes;
    }
    samples.push({ atMs: performance.now() - startedMs, rssBytes });
  };
  sample();
  const timer = setInterval(sample, intervalMs);
  return { samples, stop: () => clearInterval(timer) };
}

function rssOf(pid: number): number | undefined {
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
}
