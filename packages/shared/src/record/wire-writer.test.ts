import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { expect, test } from "vitest";
import { WireWriter } from "./wire-writer.ts";

const field = fc.integer({ min: 1, max: 2 ** 28 - 1 });
/** Of any number of bits. */
const integer = fc
  .tuple(fc.maxSafeInteger(), fc.integer({ min: 0, max: 53 }))
  .map(([value, bits]) => Math.trunc(value / 2 ** bits) + 0);

test("writes integers, texts and bytes as the protobuf library does", () => {
  const writer = new WireWriter(1);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(field, integer, fc.string({ unit: "binary" }), fc.uint8Array({ maxLength: 300 }))),
      (values) => {
        writer.clear();
        const expected = new BinaryWriter();
        for (const [number, value, text, bytes] of values) {
          writer.varint(value);
          expected.int64(value);
          writer.integer(number, value);
          if (value !== 0) expected.tag(number, WireType.Varint).int64(value);
          const bits = BigInt.asUintN(64, BigInt(value) ** 2n);
          writer.uint64(number, bits);
          if (bits !== 0n) expected.tag(number, WireType.Varint).uint64(bits);
          writer.text(number, text);
          if (text !== "") expected.tag(number, WireType.LengthDelimited).string(text);
          writer.bytes(number, bytes);
          if (bytes.length > 0) expected.tag(number, WireType.LengthDelimited).bytes(bytes);
          writer.element(number, bytes);
          expected.tag(number, WireType.LengthDelimited).bytes(bytes);
        }
        expect(writer.written).toEqual(Buffer.from(expected.finish()));
      },
    ),
  );
});

test.each([
  0,
  1,
  127,
  128,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 35,
  2 ** 53 - 1,
  -1,
  -(2 ** 31),
  -(2 ** 32),
  -(2 ** 53) + 1,
])("writes %d", (value) => {
  const writer = new WireWriter();
  writer.varint(value);
  expect(writer.written).toEqual(Buffer.from(new BinaryWriter().int64(value).finish()));
});
