import { expect, test } from "vitest";
import { renderProgress } from "./render-progress.ts";

const progress = {
  readBytes: 3_000_000,
  totalBytes: 12_000_000,
  accepted: 12_345,
  rejected: 6,
  seconds: 10,
  recordsPerSecond: 1_235.1,
};

test.each([
  [120, "██████░░░░░░░░░░░░░░░░░░  25%  12,345 accepted  6 rejected  1,235/s  30s left"],
  [70, "██████░░░░░░░░░░░░░░░░░░  25%  12,345 accepted  6 rejected  1,235/s"],
  [45, "25%  12,345 accepted  6 rejected  1,235/s"],
  [30, "25%  12,345 accepted"],
])("fits %i columns", (columns, expected) => {
  expect(renderProgress(progress, columns)).toBe(expected);
});

test("tells how much was read where nobody knows how much there is", () => {
  expect(renderProgress({ ...progress, totalBytes: undefined }, 80)).toBe(
    "12,345 accepted  6 rejected  1,235/s  2.9 MiB read",
  );
});

test("guesses no end at the beginning, and none beyond it", () => {
  expect(renderProgress({ ...progress, seconds: 1 }, 120)).not.toContain("left");
  expect(renderProgress({ ...progress, readBytes: 12_000_001 }, 120)).toMatch(/100% .*1,235\/s$/);
  expect(renderProgress({ ...progress, totalBytes: 0 }, 120)).not.toContain("%");
});
