import { fromBinary, fromJson, type JsonObject, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "./limits.ts";
import { StructError, type StructProblem, structToJson } from "./struct-json.ts";
import { WireError } from "./wire.ts";

const DEEP = 100;

// The protobuf library drops a byte order mark at the beginning of a text; PostgreSQL can't hold U+0000.
const safe = (text: string): string => text.replaceAll(/[\0\ufeff]/g, "-");
const text = fc.string({ unit: "binary", maxLength: 8 }).map(safe);
const key = fc.oneof(fc.constantFrom("", "a", "é", "\u{1f415}", "\uffff", "constructor", "10", "9"), text);
const { value } = fc.letrec<{ value: JsonValue; object: JsonObject }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    text,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
  ),
  object: fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
}));
const object = fc.dictionary(key, value, { maxKeys: 5, noNullPrototype: true });

/** JSON with sorted keys and no spaces. */
function canonical(json: JsonValue): string {
  if (Array.isArray(json)) return `[${json.map(canonical).join(",")}]`;
  if (json === null || typeof json !== "object") return JSON.stringify(json);
  const entries = Object.entries(json).map(([name, member]) => [name, canonical(member)] as const);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, member]) => `${JSON.stringify(name)}:${member}`).join(",")}}`;
}

type Bytes = Uint8Array;
const field = (number: number, bytes: Bytes): Bytes =>
  new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(bytes).finish();
const utf8 = (content: string): Bytes => Buffer.from(content);
const entry = (name: Bytes, ...values: Bytes[]): Bytes =>
  field(1, Buffer.concat([field(1, name), ...values.map((member) => field(2, member))]));
const numberValue = (number: number): Bytes =>
  new BinaryWriter().tag(2, WireType.Bit64).double(number).finish();
const stringValue = (content: Bytes): Bytes => field(3, content);
const boolValue = (truth: boolean): Bytes => new BinaryWriter().tag(4, WireType.Varint).bool(truth).finish();
const structValue = (struct: Bytes): Bytes => field(5, struct);
const listValue = (...values: Bytes[]): Bytes =>
  field(6, Buffer.concat(values.map((member) => field(1, member))));

const read = (bytes: Bytes, maxDepth = DEEP): string => structToJson(Buffer.from(bytes), maxDepth);

function problemOf(bytes: Bytes, maxDepth?: number): StructProblem | "wire" | undefined {
  try {
    read(bytes, maxDepth);
    return undefined;
  } catch (error) {
    if (error instanceof StructError) return error.problem;
    if (error instanceof WireError) return "wire";
    throw error;
  }
}

describe("agrees with the protobuf library", () => {
  test("on every JSON object", () => {
    fc.assert(
      fc.property(object, (json) => {
        const bytes = toBinary(StructSchema, fromJson(StructSchema, json));
        const expected = toJson(StructSchema, fromBinary(StructSchema, bytes));
        expect(read(bytes)).toBe(canonical(expected));
        expect(JSON.parse(read(bytes))).toEqual(JSON.parse(JSON.stringify(json)));
      }),
      { numRuns: 500 },
    );
  });

  test("on keys that come again and on fields it doesn't know", () => {
    const entries = fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.integer()), { maxLength: 6 });
    fc.assert(
      fc.property(entries, (pairs) => {
        const unknown = field(9, utf8("unknown"));
        const bytes = Buffer.concat(
          pairs.flatMap(([name, number]) => [
            unknown,
            entry(utf8(name), Buffer.concat([field(15, utf8("?")), numberValue(number)])),
          ]),
        );
        expect(read(bytes)).toBe(canonical(toJson(StructSchema, fromBinary(StructSchema, bytes))));
      }),
    );
  });

  test("on few keys and on many, in any order", () => {
    const many = fc.uniqueArray(key, { maxLength: 60, selector: safe });
    fc.assert(
      fc.property(many, (names) => {
        const bytes = Buffer.concat(names.map((name, i) => entry(utf8(name), numberValue(i))));
        const expected = names.map((name, i) => [name, i] as const).sort(([a], [b]) => (a < b ? -1 : 1));
        const members = expected.map(([name, i]) => `${JSON.stringify(name)}:${i}`);
        expect(read(bytes)).toBe(`{${members.join(",")}}`);
      }),
    );
  });

  test("on a value before its key, a key that comes twice, and keys in order after them", () => {
    const value = field(2, numberValue(1));
    const bytes = Buffer.concat([
      field(1, Buffer.concat([value, field(1, utf8("a"))])),
      field(1, Buffer.concat([field(1, utf8("gone")), field(1, utf8("b")), value])),
      field(1, Buffer.concat([field(1, utf8("c")), value, field(1, utf8("d"))])),
      entry(utf8("e"), numberValue(2)),
    ]);
    expect(read(bytes)).toBe('{"a":1,"b":1,"d":1,"e":2}');
    expect(read(bytes)).toBe(canonical(toJson(StructSchema, fromBinary(StructSchema, bytes))));
  });

  test("on an entry without a key", () => {
    const bytes = field(1, field(2, boolValue(true)));
    expect(read(bytes)).toBe('{"":true}');
    expect(toJson(StructSchema, fromBinary(StructSchema, bytes))).toEqual({ "": true });
  });
});

test("the order in which a producer wrote the fields makes no difference", () => {
  const pairs = fc.uniqueArray(fc.tuple(key, fc.integer()), { selector: ([name]) => name, maxLength: 6 });
  fc.assert(
    fc.property(
      pairs.chain((list) =>
        fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
      ),
      ([list, shuffled]) => {
        const encode = (some: typeof list) =>
          Buffer.concat(some.map(([name, number]) => entry(utf8(name), numberValue(number))));
        expect(read(encode(shuffled))).toBe(read(encode(list)));
      },
    ),
  );
});

test("__proto__ is a key like any other", () => {
  const inner = entry(utf8("__proto__"), boolValue(true));
  const bytes = Buffer.concat([
    entry(utf8("b"), numberValue(-0)),
    entry(utf8("__proto__"), structValue(inner)),
  ]);
  expect(read(bytes)).toBe('{"__proto__":{"__proto__":true},"b":0}');
});

test("a byte order mark is kept", () => {
  expect(read(entry(utf8("\ufeffa"), stringValue(utf8("\ufeff"))))).toBe('{"\ufeffa":"\ufeff"}');
});

describe("depth", () => {
  /** `{}` has the depth 1. */
  function nest(depth: number, wrap: (inner: Bytes) => Bytes, innermost: Bytes): Bytes {
    let inner = innermost;
    for (let level = 2; level < depth; level++) inner = wrap(inner);
    return entry(utf8("a"), inner);
  }
  const structs = (depth: number) =>
    nest(depth, (inner) => structValue(entry(utf8("a"), inner)), structValue(new Uint8Array()));
  const lists = (depth: number) => nest(depth, (inner) => listValue(inner), listValue());

  test.each([
    ["structs", structs],
    ["lists", lists],
  ])("%s up to the limit and not one more", (_, build) => {
    const max = LIMITS.metadataDepth;
    expect(problemOf(build(max), max)).toBeUndefined();
    expect(problemOf(build(max + 1), max)).toBe("too_deep");
    // As deep as a small message can be: refused before the stack is at its end.
    expect(problemOf(build(3_000), max)).toBe("too_deep");
  });

  test("an empty struct needs a depth of 1", () => {
    expect(read(new Uint8Array(), 1)).toBe("{}");
    expect(read(entry(utf8("a"), numberValue(1)), 1)).toBe('{"a":1}');
    expect(problemOf(entry(utf8("a"), listValue()), 1)).toBe("too_deep");
  });
});

describe("what JSON in PostgreSQL can't hold", () => {
  const inAnyPlace = (member: Bytes): Bytes[] => [
    entry(utf8("a"), member),
    entry(utf8("a"), listValue(boolValue(true), member)),
    entry(utf8("a"), structValue(entry(utf8("b"), member))),
  ];
  const expectEverywhere = (problem: StructProblem, member: Bytes): void => {
    expect(inAnyPlace(member).map((bytes) => problemOf(bytes))).toEqual(Array(3).fill(problem));
  };

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("%d", (number) => {
    expectEverywhere("not_finite", numberValue(number));
  });

  test("U+0000", () => {
    expectEverywhere("nul_character", stringValue(utf8("a\0b")));
    expect(problemOf(entry(utf8("a\0"), boolValue(true)))).toBe("nul_character");
  });

  test.each([
    ["a stray byte", [0x61, 0xff]],
    ["an overlong form", [0xc0, 0x80]],
    ["half a surrogate pair", [0xed, 0xa0, 0x80]],
    ["a character cut off", [0xf0, 0x9f, 0x90]],
  ])("bytes that are not UTF-8: %s", (_, bytes) => {
    expectEverywhere("invalid_utf8", stringValue(Buffer.from(bytes)));
    expect(problemOf(entry(Buffer.from(bytes), boolValue(true)))).toBe("invalid_utf8");
  });

  test("but U+FFFD itself is a character", () => {
    expect(read(entry(utf8("\ufffd"), stringValue(utf8("\ufffd"))))).toBe('{"\ufffd":"\ufffd"}');
  });

  test("a value of no kind", () => {
    expectEverywhere("empty_value", new Uint8Array());
    expectEverywhere("empty_value", field(12, utf8("a kind of the future")));
    expect(problemOf(entry(utf8("a")))).toBe("empty_value");
  });

  test("a value that comes more than once", () => {
    expectEverywhere("repeated_field", Buffer.concat([numberValue(1), numberValue(1)]));
    expectEverywhere("repeated_field", Buffer.concat([numberValue(1), boolValue(true)]));
    expect(problemOf(entry(utf8("a"), numberValue(1), numberValue(2)))).toBe("repeated_field");
  });
});

test("what it accepts is canonical JSON; it throws nothing but StructError and WireError", () => {
  const check = (bytes: Bytes): void => {
    if (problemOf(bytes) !== undefined) return;
    const json = read(bytes);
    expect(canonical(JSON.parse(json))).toBe(json);
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), check), { numRuns: 2_000 });
  const damaged = fc.tuple(object, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }));
  fc.assert(
    fc.property(damaged, ([json, damages]) => {
      const bytes = toBinary(StructSchema, fromJson(StructSchema, json));
      for (const [at, byte] of damages) if (bytes.length > 0) bytes[at % bytes.length] = byte;
      check(bytes);
      check(bytes.subarray(0, damages[0]![0] % (bytes.length + 1)));
    }),
    { numRuns: 1_000 },
  );
});

test("an entry may not reach beyond its length", () => {
  const bytes = Buffer.concat([entry(utf8("a"), numberValue(1)), entry(utf8("b"), numberValue(2))]);
  bytes[1]! -= 1;
  expect(problemOf(bytes)).toBe("wire");
});
