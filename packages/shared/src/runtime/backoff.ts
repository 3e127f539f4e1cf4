import { setTimeout as sleep } from "node:timers/promises";

export interface Backoff {
  minMs: number;
  maxMs: number;
}

export const DEFAULT_BACKOFF: Backoff = { minMs: 100, maxMs: 5_000 };

/** For what a process cannot work without: it is found again within a second of its return. */
export const DEPENDENCY_BACKOFF: Backoff = { minMs: 100, maxMs: 1_000 };

/** The wait before the given attempt (0, 1, 2, …): doubles up to the maximum, spread by up to a half at random. */
export function backoffMs(attempt: number, { minMs, maxMs }: Backoff = DEFAULT_BACKOFF): number {
  const full = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30));
  return Math.round(full * (0.5 + Math.random() / 2));
}

/** Sleeps unless `signal` is aborted; returns false where it was. */
export async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  return await sleep(ms, true, { signal, ref: true }).catch(() => false);
}

/**
 * Tries until it succeeds. Reports each failure with the wait before the next attempt. Throws the last failure once
 * `signal` is aborted.
 */
export async function retryUntil<T>(
  attempt: () => Promise<T>,
  options: { signal: AbortSignal; onFailure(error: unknown, retryInMs: number): void; backoff?: Backoff },
): Promise<T> {
  for (let count = 0; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (options.signal.aborted) throw error;
      const waitMs = backoffMs(count, options.backoff);
      options.onFailure(error, waitMs);
      if (!(await pause(waitMs, options.signal))) throw error;
    }
  }
}
