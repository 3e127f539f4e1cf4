import { setTimeout as sleep } from "node:timers/promises";

/** How long nothing may move. Longer than any back-off, timeout and `ack_wait` of the services in these tests. */
const STANDSTILL_MS = 90_000;

/**
 * Waits for something on a machine of any speed: gives up only when there has been no progress for long.
 *
 * @param what for the message: "all batches are booked"
 */
export async function waitUntil(
  what: string,
  options: {
    isDone(): Promise<boolean>;
    /** Anything that changes while there is progress; a failure counts as no news. */
    progress(): Promise<number | string>;
    pollMs?: number;
    /** Gives up after this long even where there is progress: it may be that of others. */
    maxMs?: number;
  },
): Promise<void> {
  let last: number | string | undefined;
  const startedMs = performance.now();
  let movedMs = startedMs;
  for (;;) {
    if (await options.isDone()) return;
    const now = await options.progress().catch(() => last);
    if (now !== last) movedMs = performance.now();
    last = now;
    const { maxMs = Infinity } = options;
    if (performance.now() - startedMs > maxMs)
      throw new Error(`waited in vain until ${what}: not in ${maxMs / 1000} s, at ${last}`);
    const stillMs = performance.now() - movedMs;
    if (stillMs > STANDSTILL_MS)
      throw new Error(`waited in vain until ${what}: no progress for ${STANDSTILL_MS / 1000} s, at ${last}`);
    await sleep(options.pollMs ?? 50);
  }
}
