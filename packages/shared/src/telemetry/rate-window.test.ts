import { beforeEach, expect, test } from "vitest";
import { RateWindow } from "./rate-window.ts";

let nowMs: number;
let rate: RateWindow;

beforeEach(() => {
  nowMs = 123_456;
  rate = new RateWindow(() => nowMs);
});

test("is that of the last 10 whole seconds", () => {
  for (let second = 0; second < 30; second++) {
    rate.add(40);
    nowMs += 500;
    rate.add(60);
    nowMs += 500;
  }
  expect(rate.perSecond).toBe(100);
});

test("leaves the current second out: it isn't over", () => {
  rate.add(1_000);
  expect(rate.perSecond).toBe(0);
  nowMs += 1_000;
  expect(rate.perSecond).toBe(100);
});

test("forgets a burst after 10 seconds, and not before", () => {
  nowMs = 200_000;
  rate.add(500);
  const rates = Array.from({ length: 13 }, () => {
    const { perSecond } = rate;
    nowMs += 1_000;
    return perSecond;
  });
  expect(rates).toEqual([0, ...Array(10).fill(50), 0, 0]);
});

test.each([11_000, 12_000, 25_000, 3_600_000])("is 0 after a silence of %i ms", (silenceMs) => {
  for (let i = 0; i < 15; i++) {
    rate.add(10);
    nowMs += 1_000;
  }
  nowMs += silenceMs;
  expect(rate.perSecond).toBe(0);
  rate.add(10);
  nowMs += 1_000;
  expect(rate.perSecond).toBe(1);
});
