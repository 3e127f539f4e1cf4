import { create, fromBinary, type MessageInitShape, toBinary, toJson } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import {
  type IngestionData,
  IngestionDataSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import {
  IngestRequestSchema,
  IngestStreamRequestSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RECORD_FIELD, RecordView, STRING_FIELDS, splitRequest } from "./record-view.ts";
import { WireError } from "./wire.ts";

type Init = MessageInitShape<typeof IngestionDataSchema>;

// The protobuf library drops a byte order mark at the beginning of a text; the view keeps what was sent.
const text = fc.string({ unit: "binary", maxLength: 12 }).filter((value) => !value.includes("\ufeff"));
const key = fc.oneof(fc.constantFrom("", "a", "b", "1"), text).filter((value) => value !== "__proto__");
const timestamp = fc.record({
  seconds: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  nanos: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
});

/** Any subset of the fields. */
const record: fc.Arbitrary<Init> = fc.record(
  {
    uuid: text,
    tenantId: text,
    sourceType: text,
    sourceId: text,
    dataId: text,
    data: text,
    metadata: fc.dictionary(key, fc.oneof(text, fc.boolean(), fc.integer()), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
    metadataType: text,
    lang: text,
    attributes: fc.dictionary(key, text, { maxKeys: 4, noNullPrototype: true }),
    createdAt: timestamp,
    updatedAt: timestamp,
    rawPayload: fc.record({ content: fc.uint8Array({ maxLength: 20 }), contentType: text }),
  },
  { requiredKeys: [] },
);

const encode = (init: Init): Buffer =>
  Buffer.from(toBinary(IngestionDataSchema, create(IngestionDataSchema, init)));

const unknownField = fc
  .tuple(
    fc.integer({ min: 14, max: 2 ** 29 - 1 }),
    fc.constantFrom(WireType.Varint, WireType.Bit64, WireType.LengthDelimited, WireType.Bit32),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  )
  .map(([number, wireType, value]) => {
    const writer = new BinaryWriter().tag(number, wireType);
    if (wireType === WireType.Varint) writer.uint64(value);
    else if (wireType === WireType.Bit64) writer.fixed64(value);
    else if (wireType === WireType.Bit32) writer.fixed32(Number(value & 0xffff_ffffn));
    else writer.string(String(value));
    return Buffer.from(writer.finish());
  });

/** Well-formed bytes as another writer might produce them: fields in pieces, again and again, unknown ones between. */
const wireRecord = fc
  .array(fc.oneof({ weight: 3, arbitrary: record.map(encode) }, { weight: 1, arbitrary: unknownField }), {
    maxLength: 4,
  })
  .map((chunks) => Buffer.concat(chunks));

/** Everything that the view reads, in the library's terms. */
function readAll(bytes: Uint8Array) {
  const view = new RecordView().read(bytes);
  const rawPayload = view.rawPayload();
  return {
    view,
    texts: STRING_FIELDS.map(([field]) => view.text(field)),
    attributes: { ...view.attributes() },
    createdAt: view.timestamp(RECORD_FIELD.createdAt),
    updatedAt: view.timestamp(RECORD_FIELD.updatedAt),
    rawPayload: rawPayload && {
      content: new Uint8Array(rawPayload.content),
      contentType: rawPayload.contentType.toString(),
    },
  };
}

function expectAgreement(bytes: Uint8Array): void {
  const message = fromBinary(IngestionDataSchema, bytes);
  const read = readAll(bytes);
  const textsOf = ({
    uuid,
    tenantId,
    sourceType,
    sourceId,
    dataId,
    data,
    metadataType,
    lang,
  }: IngestionData) => [uuid, tenantId, sourceType, sourceId, dataId, data, metadataType, lang];
  expect(read.texts).toEqual(textsOf(message));
  expect(read.attributes).toEqual(message.attributes);
  // The library merges message fields that come again; the view says so and leaves it to the caller.
  if (read.view.repeatsMessageField) return;
  const time = (value: IngestionData["createdAt"]) =>
    value && { seconds: Number(value.seconds), nanos: value.nanos };
  expect(read.createdAt).toEqual(time(message.createdAt));
  expect(read.updatedAt).toEqual(time(message.updatedAt));
  expect(read.rawPayload).toEqual(
    message.rawPayload && {
      content: new Uint8Array(message.rawPayload.content),
      contentType: message.rawPayload.contentType,
    },
  );
  expect(read.view.has(RECORD_FIELD.metadata)).toBe(message.metadata !== undefined);
  const metadata = fromBinary(StructSchema, read.view.slice(RECORD_FIELD.metadata));
  expect(toJson(StructSchema, metadata)).toEqual(message.metadata ?? {});
}

/** Calls and lets nothing but a WireError pass. */
function onlyWireErrors(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return false;
  }
}

describe("RecordView", () => {
  test("agrees with the protobuf library on every well-formed record", () => {
    fc.assert(fc.property(wireRecord, expectAgreement), { numRuns: 500 });
  });

  test("agrees with the protobuf library on every beginning of a record, or refuses it", () => {
    fc.assert(
      fc.property(wireRecord, (bytes) => {
        for (let length = 0; length < bytes.length; length++) {
          const beginning = bytes.subarray(0, length);
          if (onlyWireErrors(() => readAll(beginning))) expectAgreement(beginning);
          else expect(() => fromBinary(IngestionDataSchema, beginning)).toThrow();
        }
      }),
      { numRuns: 20 },
    );
  });

  test("throws nothing but WireError, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => void onlyWireErrors(() => readAll(bytes))),
      { numRuns: 2_000 },
    );
    const damaged = fc.tuple(wireRecord, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }));
    fc.assert(
      fc.property(damaged, ([bytes, damages]) => {
        for (const [at, byte] of damages) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        onlyWireErrors(() => readAll(bytes));
      }),
      { numRuns: 1_000 },
    );
  });

  test("notes message fields that come more than once, and only those", () => {
    const once = encode({
      data: "a",
      attributes: { a: "b" },
      updatedAt: { seconds: 1n },
      metadata: { a: 1 },
    });
    const view = new RecordView();
    expect(
      view.read(Buffer.concat([once, encode({ data: "b", attributes: { a: "c" } })])).repeatsMessageField,
    ).toBe(false);
    expect(view.text(RECORD_FIELD.data)).toBe("b");
    expect(view.attributes()).toEqual({ a: "c" });
    for (const again of [{ metadata: {} }, { updatedAt: {} }])
      expect(view.read(Buffer.concat([once, encode(again)])).repeatsMessageField).toBe(true);
    for (const another of [{ createdAt: {} }, { rawPayload: {} }])
      expect(view.read(Buffer.concat([once, encode(another)])).repeatsMessageField).toBe(false);
    expect(view.read(once).repeatsMessageField).toBe(false);
  });

  test("leaves nothing of the record before", () => {
    const view = new RecordView().read(
      encode({
        data: "a",
        attributes: { a: "b" },
        createdAt: { seconds: 1n },
        rawPayload: { contentType: "t" },
      }),
    );
    view.read(Buffer.alloc(0));
    expect(view.has(RECORD_FIELD.data)).toBe(false);
    expect(view.text(RECORD_FIELD.data)).toBe("");
    expect(view.byteLength(RECORD_FIELD.data)).toBe(0);
    expect(view.attributeCount).toBe(0);
    expect(view.timestamp(RECORD_FIELD.createdAt)).toBeUndefined();
    expect(view.rawPayload()).toBeUndefined();
  });

  test("reads a record in the midst of other bytes", () => {
    const bytes = encode({ data: "here", attributes: { a: "b" } });
    const whole = new Uint8Array(bytes.length + 20).fill(0xff);
    whole.set(bytes, 10);
    const view = new RecordView().read(whole.subarray(10, 10 + bytes.length));
    expect(view.text(RECORD_FIELD.data)).toBe("here");
    expect(view.byteLength(RECORD_FIELD.data)).toBe(4);
    expect(view.attributes()).toEqual({ a: "b" });
  });

  test("takes __proto__ for an attribute like any other", () => {
    const entry = Buffer.from("\n\t__proto__\x12\x01x", "latin1");
    const attributes = new RecordView()
      .read(Buffer.concat([Buffer.from([0x52, entry.length]), entry]))
      .attributes();
    expect(Object.entries(attributes)).toEqual([["__proto__", "x"]]);
  });

  test("cuts a time's nanos to 32 bits, as the protobuf library does", () => {
    const nanos = Buffer.from(
      new BinaryWriter()
        .tag(2, WireType.Varint)
        .uint64(2n ** 32n + 5n)
        .finish(),
    );
    const bytes = Buffer.concat([Buffer.from([0x62, nanos.length]), nanos]);
    expect(new RecordView().read(bytes).timestamp(RECORD_FIELD.updatedAt)).toEqual({ seconds: 0, nanos: 5 });
    expectAgreement(bytes);
  });

  test("tells texts that are not UTF-8", () => {
    const view = new RecordView().read(Buffer.from([0x32, 2, 0x61, 0xff]));
    expect(view.isValidUtf8(RECORD_FIELD.data)).toBe(false);
    expect(view.isValidUtf8(RECORD_FIELD.lang)).toBe(true);
  });

  test.each([
    ["a known field with another wire type", [0x30, 1]],
    ["a field with the number 0", [0x02, 0]],
    ["a group", [0x73, 0x74]],
    ["a length beyond the end", [0x32, 5, 0x61]],
    ["a length beyond 2 GiB", [0x32, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ["a varint of 11 bytes", [0x70, ...Array(10).fill(0x80), 1]],
    ["a tag that is cut off", [0x80]],
  ])("refuses %s", (_, bytes) => {
    expect(() => new RecordView().read(Buffer.from(bytes))).toThrow(WireError);
  });
});

describe("splitRequest", () => {
  const requests = fc.record({
    records: fc.array(record, { maxLength: 5 }),
    batchNumber: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  });

  test("agrees with the protobuf library", () => {
    fc.assert(
      fc.property(requests, requests, unknownField, (first, second, unknown) => {
        const streamed = Buffer.concat([
          toBinary(IngestStreamRequestSchema, create(IngestStreamRequestSchema, first)),
          unknown,
          toBinary(IngestStreamRequestSchema, create(IngestStreamRequestSchema, second)),
        ]);
        const expected = fromBinary(IngestStreamRequestSchema, streamed);
        const split = splitRequest(streamed, 5_000);
        expect(split.batchNumber).toBe(expected.batchNumber);
        expect(split.records.map((bytes) => fromBinary(IngestionDataSchema, bytes))).toEqual(
          expected.records,
        );

        const unary = toBinary(IngestRequestSchema, create(IngestRequestSchema, { records: first.records }));
        expect(splitRequest(unary, 5_000)).toEqual({
          records: first.records.map(encode).map(bare),
          batchNumber: 0n,
        });
      }),
    );
  });

  const bare = (bytes: Buffer) => new Uint8Array(bytes);

  test("doesn't look into the records: a malformed one harms only itself", () => {
    const good = encode({ data: "good" });
    const bad = Buffer.from([0xff, 0xff]);
    const request = Buffer.concat(
      [good, bad, good].flatMap((bytes) => [Buffer.from([0x0a, bytes.length]), bytes]),
    );
    expect(splitRequest(request, 5_000).records).toEqual([good, bad, good]);
  });

  test("stops where there are more records than it was told", () => {
    const request = Buffer.from("0a00".repeat(10), "hex");
    expect(splitRequest(request, 10).records).toHaveLength(10);
    expect(splitRequest(Buffer.concat([request, Buffer.from("garbage")]), 9).records).toHaveLength(10);
    expect(splitRequest(request, 4).records).toHaveLength(5);
  });

  test("throws nothing but WireError, whatever the bytes", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        (bytes) => void onlyWireErrors(() => splitRequest(bytes, 5_000)),
      ),
      { numRuns: 2_000 },
    );
    expect(() => splitRequest(Buffer.from([0x08, 1]), 5_000)).toThrow(
      "the field records has the wire type 0",
    );
  });
});
