import { beforeEach, describe, expect, test } from "vitest";
import { Meter } from "./meter.ts";

let nowMs: number;
let meter: Meter;

beforeEach(() => {
  nowMs = 123_456;
  meter = new Meter(() => nowMs);
});

describe("totals and counters", () => {
  test("add up", () => {
    meter.batch(3);
    meter.batch(0);
    meter.batch(4);
    meter.count("verdict.stored");
    meter.count("verdict.stored", 5);
    meter.count("dropped", 0);
    meter.set("index.size", 9);
    meter.set("index.size", 7);
    expect([meter.records, meter.batches]).toEqual([7, 3]);
    expect(Object.fromEntries(meter.counters)).toEqual({ "verdict.stored": 6, dropped: 0, "index.size": 7 });
  });
});

describe("the rate", () => {
  test("is that of the last 10 whole seconds", () => {
    for (let second = 0; second < 30; second++) {
      meter.batch(40);
      nowMs += 500;
      meter.batch(60);
      nowMs += 500;
    }
    expect(meter.recordsPerSecond).toBe(100);
  });

  test("leaves the current second out: it isn't over", () => {
    meter.batch(1_000);
    expect(meter.recordsPerSecond).toBe(0);
    nowMs += 1_000;
    expect(meter.recordsPerSecond).toBe(100);
  });

  test("forgets a burst after 10 seconds, and not before", () => {
    nowMs = 200_000;
    meter.batch(500);
    const rates = Array.from({ length: 13 }, () => {
      const rate = meter.recordsPerSecond;
      nowMs += 1_000;
      return rate;
    });
    expect(rates).toEqual([0, ...Array(10).fill(50), 0, 0]);
  });

  test.each([11_000, 12_000, 25_000, 3_600_000])("is 0 after a silence of %i ms", (silenceMs) => {
    for (let i = 0; i < 15; i++) {
      meter.batch(10);
      nowMs += 1_000;
    }
    nowMs += silenceMs;
    expect(meter.recordsPerSecond).toBe(0);
    meter.batch(10);
    nowMs += 1_000;
    expect(meter.recordsPerSecond).toBe(1);
  });
});
