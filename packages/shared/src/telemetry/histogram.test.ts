import fc from "fast-check";
import { expect, test } from "vitest";
import { Histogram } from "./histogram.ts";

test("puts a value on a bound into the bucket below it, and what is above all into one more", () => {
  const histogram = new Histogram([1, 10]);
  for (const value of [0, 1, 1.1, 10, 11]) histogram.record(value, 1);
  expect(histogram.counts).toEqual([2, 2, 1]);
  expect([histogram.count, histogram.sum]).toEqual([5, 23.1]);
});

test("counts a value as many times as told", () => {
  const value = fc.integer({ min: -5, max: 50 });
  const times = fc.integer({ min: 0, max: 9 });
  fc.assert(
    fc.property(fc.array(fc.tuple(value, times)), (values) => {
      const [once, each] = [new Histogram([0, 7, 30]), new Histogram([0, 7, 30])];
      for (const [value, times] of values) {
        once.record(value, times);
        for (let i = 0; i < times; i++) each.record(value, 1);
      }
      expect(once).toEqual(each);
      expect(once.counts.reduce((sum, count) => sum + count, 0)).toBe(once.count);
    }),
  );
});
