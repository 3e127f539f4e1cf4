import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatUuid, parseUuid, UUID_BYTES, uuidV7Us } from "./uuid.ts";

const bytes = fc.uint8Array({ minLength: UUID_BYTES, maxLength: UUID_BYTES });
const isSpecial = (uuid: Uint8Array): boolean =>
  uuid.every((byte) => byte === 0) || uuid.every((byte) => byte === 0xff);

describe("parseUuid and formatUuid", () => {
  test("are each other's inverse, in either case of letters", () => {
    fc.assert(
      fc.property(bytes, (uuid) => {
        fc.pre(!isSpecial(uuid));
        const text = formatUuid(uuid);
        expect(text).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
        expect(parseUuid(text)).toEqual(Buffer.from(uuid));
        expect(parseUuid(text.toUpperCase())).toEqual(Buffer.from(uuid));
      }),
    );
  });

  test("read and write a known one", () => {
    const text = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    expect(parseUuid(text)!.toString("hex")).toBe("017f22e279b07cc398c4dc0c0c07398f");
    const column = Buffer.concat([Buffer.alloc(UUID_BYTES), parseUuid(text)!]);
    expect(formatUuid(column, UUID_BYTES)).toBe(text);
    expect(formatUuid(column.subarray(UUID_BYTES))).toBe(text);
  });

  test.each([
    ["nil", "00000000-0000-0000-0000-000000000000"],
    ["max", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    ["max in capitals", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"],
    ["nothing", ""],
    ["no dashes", "017f22e279b07cc398c4dc0c0c07398f"],
    ["braces", "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}"],
    ["a space around it", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f "],
    ["a line end after it", "017f22e2-79b0-7cc3-98c4-dc0c0c07398\n"],
    ["a letter that is no digit", "017f22e2-79b0-7cc3-98c4-dc0c0c07398g"],
    ["a digit of another script", "017f22e2-79b0-7cc3-98c4-dc0c0c07398٣"],
    ["dashes elsewhere", "017f22e27-9b0-7cc3-98c4-dc0c0c07398f"],
  ])("refuse %s", (_, text) => {
    expect(parseUuid(text)).toBeUndefined();
  });
});

describe("uuidV7Us", () => {
  test("reads the example of RFC 9562, with its fraction of a millisecond", () => {
    const us = uuidV7Us(parseUuid("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")!)!;
    expect(new Date(Math.floor(us / 1000)).toISOString()).toBe("2022-02-22T19:22:22.000Z");
    // 0xcc3 of 0x1000 of a millisecond.
    expect(us % 1000).toBe(797);
  });

  test("reads any time, and orders as the uuids do", () => {
    const time = fc.tuple(fc.integer({ min: 0, max: 2 ** 48 - 1 }), fc.integer({ min: 0, max: 0xfff }));
    const uuidOf = ([ms, fraction]: [number, number]): Buffer => {
      const uuid = Buffer.alloc(UUID_BYTES, 0xaa);
      uuid.writeUIntBE(ms, 0, 6);
      uuid.writeUInt16BE(0x7000 | fraction, 6);
      return uuid;
    };
    fc.assert(
      fc.property(time, time, (a, b) => {
        const [uuidA, uuidB] = [uuidOf(a), uuidOf(b)];
        expect(uuidV7Us(uuidA)).toBe(a[0] * 1000 + Math.floor((a[1] * 1000) / 4096));
        if (Buffer.compare(uuidA, uuidB) < 0) expect(uuidV7Us(uuidA)).toBeLessThanOrEqual(uuidV7Us(uuidB)!);
      }),
    );
  });

  test("is of version 7 only", () => {
    fc.assert(
      fc.property(bytes, (uuid) => {
        expect(uuidV7Us(uuid) === undefined).toBe(formatUuid(uuid)[14] !== "7");
      }),
    );
    expect(uuidV7Us(parseUuid("919108f7-52d1-4320-9bac-f847db4148a8")!)).toBeUndefined();
  });
});
