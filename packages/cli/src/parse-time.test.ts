import { expect, test } from "vitest";
import { UsageError } from "./cli-error.ts";
import { parseSpan, parseTime } from "./parse-time.ts";

const now = new Date("2026-03-01T12:00:00Z");

test.each([
  ["15m", "2026-03-01T11:45:00.000Z"],
  ["1h30m", "2026-03-01T10:30:00.000Z"],
  ["1.5h", "2026-03-01T10:30:00.000Z"],
  ["1d", "2026-02-28T12:00:00.000Z"],
  ["2026-02-28", "2026-02-28T00:00:00.000Z"],
  ["2026-02-28T10:00:00Z", "2026-02-28T10:00:00.000Z"],
  ["2026-02-28 10:00:00.5Z", "2026-02-28T10:00:00.500Z"],
  ["2026-02-28T10:00+02:00", "2026-02-28T08:00:00.000Z"],
])("%s is %s", (text, time) => {
  expect(parseTime(text, "--since", now).toISOString()).toBe(time);
});

test.each([
  "",
  "yesterday",
  "15",
  "15 m",
  "m",
  "-5m",
  "2026-02-30",
  "2026-13-01",
  "2026-02-28T10:00:00",
  "12:00",
])("%j is no time, and the error says what is", (text) => {
  expect(() => parseTime(text, "--since", now)).toThrow(UsageError);
  expect(() => parseTime(text, "--since", now)).toThrow(/^--since: .*15m/);
});

test("spans are in milliseconds", () => {
  expect(parseSpan("90s")).toBe(90_000);
  expect(parseSpan("1w")).toBe(7 * 86_400_000);
  expect(parseSpan("soon")).toBeUndefined();
});
