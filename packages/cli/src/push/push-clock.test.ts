import { expect, test } from "vitest";
import { createClock } from "./push-clock.ts";

test("tells the time, later each time it is asked", () => {
  const clock = createClock();
  const times = Array.from({ length: 5_000 }, clock);
  expect(times).toEqual([...new Set(times)].sort());
  expect(times[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  expect(Math.abs(Date.parse(times[0]!) - Date.now())).toBeLessThan(5_000);
});
