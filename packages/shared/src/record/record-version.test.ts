import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { recordVersionUs, timestampUs } from "./record-version.ts";
import { parseUuid, uuidV7Us } from "./uuid.ts";

describe("timestampUs", () => {
  const MAX = BigInt(Number.MAX_SAFE_INTEGER);

  test.each<[string, bigint, number, number | undefined]>([
    ["the epoch", 0n, 0, 0],
    ["less than a microsecond", 0n, 999, 0],
    ["a microsecond", 0n, 1_000, 1],
    ["rounded down", 0n, 1_999, 1],
    ["the last nanosecond of a second", 0n, 999_999_999, 999_999],
    ["before 1970", -1n, 0, -1_000_000],
    ["just before 1970", -1n, 999_999_999, -1],
    ["before 1970, rounded down", -1n, 999_998_999, -2],
    ["negative nanos", 0n, -1, undefined],
    ["nanos of a whole second", 0n, 1_000_000_000, undefined],
    ["the last that can be told exactly", MAX / 1_000_000n, Number(MAX % 1_000_000n) * 1000, Number(MAX)],
    ["one more", MAX / 1_000_000n, Number(MAX % 1_000_000n) * 1000 + 1000, undefined],
    ["the first that can be told exactly", -MAX / 1_000_000n - 1n, 259_009_000, -Number(MAX)],
    ["the year 9999", 253_402_300_799n, 0, undefined],
    ["the greatest on the wire", 2n ** 63n - 1n, 999_999_999, undefined],
    ["the smallest on the wire", -(2n ** 63n), 0, undefined],
  ])("%s", (_, seconds, nanos, expected) => {
    expect(timestampUs({ seconds: Number(seconds), nanos })).toBe(expected);
  });

  test("keeps the order", () => {
    const time = fc.record({
      seconds: fc.bigInt({ min: -9_000_000_000n, max: 9_000_000_000n }),
      nanos: fc.integer({ min: 0, max: 999_999_999 }),
    });
    fc.assert(
      fc.property(time, time, (a, b) => {
        const nanoseconds = ({ seconds, nanos }: typeof a) => seconds * 1_000_000_000n + BigInt(nanos);
        const us = ({ seconds, nanos }: typeof a) => timestampUs({ seconds: Number(seconds), nanos })!;
        if (nanoseconds(a) <= nanoseconds(b)) expect(us(a)).toBeLessThanOrEqual(us(b));
      }),
    );
  });
});

describe("recordVersionUs", () => {
  const v7 = parseUuid("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")!;
  const v4 = parseUuid("919108f7-52d1-4320-9bac-f847db4148a8")!;

  test("is updated_at, else created_at, else the time of the uuid that was sent", () => {
    expect(recordVersionUs(3, 2, v7)).toBe(3);
    expect(recordVersionUs(undefined, 2, v7)).toBe(2);
    expect(recordVersionUs(undefined, undefined, v7)).toBe(uuidV7Us(v7));
  });

  test("takes a time of 0 for a time", () => {
    expect(recordVersionUs(0, 2, v7)).toBe(0);
    expect(recordVersionUs(undefined, 0, v7)).toBe(0);
  });

  test("is none where nothing says it", () => {
    expect(recordVersionUs(undefined, undefined, undefined)).toBeUndefined();
    expect(recordVersionUs(undefined, undefined, v4)).toBeUndefined();
  });
});
