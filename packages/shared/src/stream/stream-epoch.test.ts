import type { StreamInfo } from "@nats-io/jetstream";
import fc from "fast-check";
import { expect, test } from "vitest";
import { streamEpoch } from "./topology.ts";

const epochOf = (created: string): bigint => streamEpoch({ created } as StreamInfo);

test.each([
  ["2026-03-01T12:00:00Z", 0n],
  ["2026-03-01T12:00:00.5Z", 500_000n],
  ["2026-03-01T12:00:00.000001Z", 1n],
  ["2026-03-01T12:00:00.123456789Z", 123_456n],
  ["2026-03-01T12:00:00.000000999Z", 0n],
  ["2026-03-01T14:00:00.123456789+02:00", 123_456n],
  ["2026-03-01T06:30:00.25-05:30", 250_000n],
])("%s", (created, fractionUs) => {
  expect(epochOf(created)).toBe(BigInt(Date.UTC(2026, 2, 1, 12)) * 1000n + fractionUs);
});

test("orders incarnations as time does", () => {
  const instant = fc.tuple(
    fc.date({
      min: new Date("2020-01-01T00:00:00Z"),
      max: new Date("2100-01-01T00:00:00Z"),
      noInvalidDate: true,
    }),
    fc.integer({ min: 0, max: 999 }),
  );
  fc.assert(
    fc.property(instant, ([date, micros]) => {
      const created = date.toISOString().replace("Z", `${String(micros).padStart(3, "0")}999Z`);
      expect(epochOf(created)).toBe(BigInt(date.getTime()) * 1000n + BigInt(micros));
    }),
  );
});

test("what is no time is no epoch", () => {
  for (const created of ["", "yesterday", "2026-03-01T12:00:00", "2026-13-99T99:00:00Z"])
    expect(() => epochOf(created)).toThrow();
});
