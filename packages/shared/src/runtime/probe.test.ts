import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { NO_ANSWER, probe } from "./probe.ts";

let reports: (string | undefined)[];
let stopping: AbortController;
let ask: () => Promise<unknown>;
beforeEach(() => {
  reports = [];
  stopping = new AbortController();
  ask = async () => {};
});
afterEach(() => stopping.abort());

const start = (): Promise<void> =>
  probe(
    () => ask(),
    (why) => reports.push(why),
    stopping.signal,
  );
const WAIT = { timeout: 2_000, interval: 5 };
const until = (expected: (string | undefined)[]): Promise<void> =>
  vi.waitFor(() => expect(reports).toEqual(expected), WAIT);

describe("probe", () => {
  test("reports what each question came to", async () => {
    void start();
    await until([undefined]);
    ask = () => Promise.reject(new Error("refused"));
    await until([undefined, "refused"]);
    ask = async () => {};
    await until([undefined, "refused", undefined]);
  });

  test("reports silence within a second, asks nothing more meanwhile, and takes the late answer", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const asked = vi.fn(() => promise);
    ask = asked;
    void start();
    await sleep(500);
    expect(reports).toEqual([]);
    await until([NO_ANSWER]);
    await sleep(600);
    expect(reports).toEqual([NO_ANSWER]);
    expect(asked).toHaveBeenCalledOnce();
    resolve();
    await until([NO_ANSWER, undefined]);
    await vi.waitFor(() => expect(asked).toHaveBeenCalledTimes(2), WAIT);
  });

  test("does not take its own delay for that of others", async () => {
    const asked = vi.fn(() => sleep(300));
    ask = asked;
    void start();
    await vi.waitFor(() => expect(asked).toHaveBeenCalledOnce(), WAIT);
    for (const heldUpUntil = performance.now() + 1_200; performance.now() < heldUpUntil; );
    await until([undefined]);
  });

  test("ends when it is told to, and reports nothing any more", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const asked = vi.fn(() => promise);
    ask = asked;
    const ended = start();
    await vi.waitFor(() => expect(asked).toHaveBeenCalledOnce(), WAIT);
    stopping.abort();
    await ended;
    resolve();
    await sleep(300);
    expect(reports).toEqual([]);
  });
});
