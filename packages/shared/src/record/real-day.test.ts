import { expect, test } from "vitest";
import { hasRealDay } from "./real-day.ts";

test.each([
  ["2026-02-28T00:00:00Z", true],
  ["2026-02-29T00:00:00Z", false],
  ["2024-02-29T00:00:00Z", true],
  ["2026-04-31", false],
  ["2026-13-01", false],
  ["2026-12-31", true],
  ["yesterday", true],
])("%s: %s", (time, isReal) => {
  expect(hasRealDay(time)).toBe(isReal);
});
