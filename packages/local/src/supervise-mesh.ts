import { setTimeout as sleep } from "node:timers/promises";
import { backoffMs } from "@chowhound/shared/runtime/backoff";
import type { Mesh } from "./mesh.ts";
import type { UnexpectedExit } from "./mesh-process.ts";
import { describeExit } from "./server-child.ts";

const shownLines = 10;
const backoff = { minMs: 500, maxMs: 30_000 };
/** After so long without a crash, the next one is the first again. */
const calmMs = 60_000;

/**
 * Starts what has died again, waiting longer each time: any part of a mesh may crash at any time, and the rest waits
 * for it. Ends when `signal` is aborted.
 */
export function superviseMesh(
  mesh: Mesh,
  options: { signal: AbortSignal; log: (line: string) => void; onRestarted: () => Promise<void> },
): void {
  const { signal, log } = options;
  for (const process of mesh.processes) {
    let crashes = 0;
    let lastMs = 0;
    const revive = async ({ exit, logTail }: UnexpectedExit): Promise<void> => {
      if (signal.aborted) return;
      if (performance.now() - lastMs > calmMs) crashes = 0;
      if (exit.code === 0) log(`${process.name} has drained, as it was told to`);
      else {
        log(`${process.name} has died: ${describeExit(exit)}; its log (${process.logFile}) ends with`);
        for (const line of logTail.split("\n").slice(-shownLines)) log(`  | ${line}`);
      }
      while (!signal.aborted) {
        const waitMs = backoffMs(crashes++, backoff);
        log(`starting ${process.name} again in ${(waitMs / 1000).toFixed(1)} s`);
        await sleep(waitMs, undefined, { signal }).catch(() => {});
        if (signal.aborted) return;
        try {
          await process.restart();
          lastMs = performance.now();
          log(`${process.name} ready again`);
          await options.onRestarted();
          return;
        } catch (error) {
          if (!signal.aborted) log((error as Error).message);
        }
      }
    };
    process.onUnexpectedExit((exit) => void revive(exit));
  }
}
