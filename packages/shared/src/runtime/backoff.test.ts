import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { backoffMs, DEFAULT_BACKOFF, pause, retryUntil } from "./backoff.ts";

describe("backoffMs", () => {
  test("doubles up to the maximum, spread by up to a half", () => {
    const bounds = fc.record({
      minMs: fc.integer({ min: 1, max: 1_000 }),
      maxMs: fc.integer({ min: 1_000, max: 60_000 }),
    });
    fc.assert(
      fc.property(bounds, fc.nat(2_000), ({ minMs, maxMs }, attempt) => {
        const full = Math.min(maxMs, minMs * 2 ** attempt);
        const waitMs = backoffMs(attempt, { minMs, maxMs });
        expect(waitMs).toBeGreaterThanOrEqual(Math.floor(full / 2));
        expect(waitMs).toBeLessThanOrEqual(full);
        expect(Number.isInteger(waitMs)).toBe(true);
      }),
    );
  });

  test("is random: many processes don't come back at the same moment", () => {
    const waits = new Set(Array.from({ length: 100 }, () => backoffMs(20)));
    expect(waits.size).toBeGreaterThan(20);
    expect(Math.max(...waits)).toBeLessThanOrEqual(DEFAULT_BACKOFF.maxMs);
  });
});

describe("pause", () => {
  test("waits, and says that nobody interrupted", async () => {
    const startedAt = performance.now();
    expect(await pause(50, new AbortController().signal)).toBe(true);
    expect(performance.now() - startedAt).toBeGreaterThan(45);
  });

  test("ends at once when it is aborted, before or meanwhile", async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 10);
    const startedAt = performance.now();
    expect(await pause(60_000, controller.signal)).toBe(false);
    expect(await pause(60_000, controller.signal)).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });
});

describe("retryUntil", () => {
  const backoff = { minMs: 1, maxMs: 4 };
  const failing = (times: number) => {
    let calls = 0;
    return async (): Promise<number> => {
      if (calls++ < times) throw new Error(`failure ${calls}`);
      return calls;
    };
  };

  test("returns the first success and reports each failure before it", async () => {
    const failures: [string, number][] = [];
    const result = await retryUntil(failing(5), {
      signal: new AbortController().signal,
      backoff,
      onFailure: (error, retryInMs) => failures.push([(error as Error).message, retryInMs]),
    });
    expect(result).toBe(6);
    expect(failures.map(([message]) => message)).toEqual([1, 2, 3, 4, 5].map((n) => `failure ${n}`));
    for (const [, retryInMs] of failures) expect(retryInMs).toBeLessThanOrEqual(backoff.maxMs);
  });

  test("throws the last failure once it is aborted, and doesn't try again", async () => {
    const controller = new AbortController();
    let failures = 0;
    const trying = retryUntil(failing(100), {
      signal: controller.signal,
      backoff,
      onFailure: () => {
        if (++failures === 3) controller.abort();
      },
    });
    await expect(trying).rejects.toThrow("failure 3");
    expect(failures).toBe(3);
  });

  test("gives a long wait up when it is aborted", async () => {
    const controller = new AbortController();
    const trying = retryUntil(failing(100), {
      signal: controller.signal,
      backoff: { minMs: 60_000, maxMs: 60_000 },
      onFailure: () => setTimeout(() => controller.abort(), 10),
    });
    await expect(trying).rejects.toThrow("failure 1");
  });

  test("still tries once where it is aborted from the start", async () => {
    const onFailure = vi.fn();
    const options = { signal: AbortSignal.abort(), backoff, onFailure };
    expect(await retryUntil(failing(0), options)).toBe(1);
    await expect(retryUntil(failing(1), options)).rejects.toThrow("failure 1");
    // Nothing is announced that won't come.
    expect(onFailure).not.toHaveBeenCalled();
  });
});
