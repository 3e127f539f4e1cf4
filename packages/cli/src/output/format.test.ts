import { expect, test } from "vitest";
import { clip, formatBytes, formatCount, formatRate, formatSeconds, printableLines } from "./format.ts";

test.each([
  [0, "0s"],
  [0.0154, "15ms"],
  [4.24, "4.2s"],
  [59.6, "1m"],
  [200, "3m 20s"],
  [3600, "1h"],
  [7260, "2h 1m"],
  [97_200, "1d 3h"],
  [86_405, "1d"],
])("%d seconds are %s", (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});

test("counts, rates and bytes", () => {
  expect(formatCount(1_234_567n)).toBe("1,234,567");
  expect(formatRate(3.07)).toBe("3.1");
  expect(formatRate(12_345.6)).toBe("12,346");
  expect(formatBytes(900)).toBe("900 B");
  expect(formatBytes(4 * 1024 * 1024)).toBe("4.0 MiB");
});

test("clipping counts characters, not code units", () => {
  expect(clip("🐕🐕🐕", 3)).toBe("🐕🐕🐕");
  expect(clip("🐕🐕🐕🐕", 3)).toBe("🐕🐕…");
});

test("lines stay lines", () => {
  expect(printableLines("a\r\nb\tc\u0007")).toEqual(["a", "b c\ufffd"]);
});
