import { create, fromBinary, type JsonObject, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "./limits.ts";
import { formatUuid, uuidV7Us } from "./uuid.ts";
import { type AcceptedRecord, type RejectedRecord, validateRecord } from "./validate-record.ts";

const NOW_MS = Date.UTC(2026, 0, 15);
const CONTEXT = { tenantId: "acme", nowMs: NOW_MS, maxRecordBytes: LIMITS.recordBytes };
const UUID_V4 = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";

type RecordInit = MessageInitShape<typeof IngestionDataSchema>;

const GOOD: RecordInit = {
  sourceType: "host",
  sourceId: "web-1",
  dataId: "disk",
  data: "hello",
  updatedAt: timestampFromMs(NOW_MS - 1_000),
};

function encode(init: RecordInit): Uint8Array {
  return toBinary(IngestionDataSchema, create(IngestionDataSchema, init));
}

function judge(bytes: Uint8Array): AcceptedRecord | RejectedRecord {
  return validateRecord(bytes, CONTEXT);
}

function accepted(bytes: Uint8Array): AcceptedRecord {
  const verdict = judge(bytes);
  if (verdict.kind === "rejected") throw new Error(`${verdict.reason}: ${verdict.message}`);
  return verdict;
}

/** GOOD with one more field of raw bytes at its end. */
function withField(number: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([
    encode(GOOD),
    new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(bytes).finish(),
  ]);
}

function nested(depth: number): JsonObject {
  return depth === 1 ? {} : { a: nested(depth - 1) };
}

/** A v7 uuid of the given time. */
function uuidV7(ms: number): string {
  const hex = ms.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000001`;
}

const { updatedAt: _, ...TIMELESS } = GOOD;
const FUTURE_MS = NOW_MS + LIMITS.futureMs;
const EARLIEST_MS = LIMITS.earliestUs / 1000;
const attributes = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, "v"]));

const REJECTED: [what: string, bytes: Uint8Array, reason: string, field: string][] = [
  ["garbage", Buffer.from("not protobuf at all"), "malformed_record", ""],
  ["a cut off record", encode(GOOD).subarray(0, -1), "malformed_record", ""],
  ["a wrong wire type", Buffer.concat([encode(GOOD), Buffer.from([3 << 3, 1])]), "malformed_record", ""],
  [
    "a group",
    Buffer.concat([encode(GOOD), Buffer.from([(20 << 3) | 3, (20 << 3) | 4])]),
    "malformed_record",
    "",
  ],
  // Read by the library, which passes on what it doesn't know.
  [
    "a timestamp that comes twice, with a group",
    withField(12, new BinaryWriter().tag(20, WireType.StartGroup).tag(20, WireType.EndGroup).finish()),
    "malformed_record",
    "",
  ],
  ["a cut off timestamp", withField(12, Buffer.from([0x08, 0xff])), "malformed_record", ""],
  ["too many bytes", encode({ ...GOOD, data: "x".repeat(LIMITS.recordBytes) }), "record_too_large", ""],

  ["no source_type", encode({ ...GOOD, sourceType: "" }), "missing_field", "source_type"],
  ["no source_id", encode({ ...GOOD, sourceId: "" }), "missing_field", "source_id"],
  ["no content", encode({ ...GOOD, data: "" }), "missing_field", "data"],
  [
    "an empty payload only",
    encode({ ...GOOD, data: "", rawPayload: { contentType: "a/b" } }),
    "missing_field",
    "data",
  ],

  ["a malformed tenant", encode({ ...GOOD, tenantId: "Acme Inc" }), "invalid_tenant_id", "tenant_id"],
  ["another tenant", encode({ ...GOOD, tenantId: "umbrella" }), "tenant_mismatch", "tenant_id"],
  ["a uuid without hyphens", encode({ ...GOOD, uuid: UUID_V4.replaceAll("-", "") }), "invalid_uuid", "uuid"],
  ["a nil uuid", encode({ ...GOOD, uuid: "00000000-0000-0000-0000-000000000000" }), "invalid_uuid", "uuid"],
  ["a max uuid", encode({ ...GOOD, uuid: "FFFFFFFF-ffff-ffff-ffff-ffffffffffff" }), "invalid_uuid", "uuid"],
  ["a lang with a space", encode({ ...GOOD, lang: "en US" }), "invalid_lang", "lang"],
  ["a lang that ends in a hyphen", encode({ ...GOOD, lang: "en-" }), "invalid_lang", "lang"],
  ["a long lang", encode({ ...GOOD, lang: "a".repeat(LIMITS.langBytes + 1) }), "field_too_long", "lang"],

  ["a long source_type", encode({ ...GOOD, sourceType: "x".repeat(129) }), "field_too_long", "source_type"],
  [
    "a source_id long in bytes",
    encode({ ...GOOD, sourceId: "é".repeat(257) }),
    "field_too_long",
    "source_id",
  ],
  ["a long data_id", encode({ ...GOOD, dataId: "x".repeat(1025) }), "field_too_long", "data_id"],
  [
    "a long metadata_type",
    encode({ ...GOOD, metadataType: "x".repeat(257) }),
    "field_too_long",
    "metadata_type",
  ],
  [
    "a long content_type",
    encode({ ...GOOD, rawPayload: { contentType: "x".repeat(257) } }),
    "field_too_long",
    "raw_payload.content_type",
  ],
  ["a line feed in an id", encode({ ...GOOD, dataId: "a\nb" }), "control_character", "data_id"],
  ["a DEL in a type", encode({ ...GOOD, sourceType: "a\x7f" }), "control_character", "source_type"],
  ["a tab in metadata_type", encode({ ...GOOD, metadataType: "\t" }), "control_character", "metadata_type"],
  ["NUL in an id", encode({ ...GOOD, sourceId: "a\0" }), "nul_character", "source_id"],
  ["NUL in data", encode({ ...GOOD, data: "a\0b" }), "nul_character", "data"],
  ["NUL in metadata", encode({ ...GOOD, metadata: { a: ["x\0"] } }), "nul_character", "metadata"],
  ["NUL in a metadata key", encode({ ...GOOD, metadata: { "a\0": 1 } }), "nul_character", "metadata"],
  ["NUL in an attribute key", encode({ ...GOOD, attributes: { "\0": "" } }), "nul_character", "attributes"],
  ["NUL in an attribute", encode({ ...GOOD, attributes: { a: "\0" } }), "nul_character", 'attributes["a"]'],
  ["data that isn't UTF-8", withField(6, Buffer.from([0xff, 0xfe])), "invalid_utf8", "data"],
  ["an id that isn't UTF-8", withField(4, Buffer.from([0x61, 0xc3])), "invalid_utf8", "source_id"],
  [
    "an attribute that isn't UTF-8",
    withField(10, Buffer.from([0x0a, 1, 0x61, 0x12, 1, 0xff])),
    "invalid_utf8",
    'attributes["a"]',
  ],
  [
    "metadata that isn't UTF-8",
    withField(7, Buffer.from([0x0a, 7, 0x0a, 0, 0x12, 3, 0x1a, 1, 0xff])),
    "invalid_utf8",
    "metadata",
  ],

  [
    "too many attributes",
    encode({ ...GOOD, attributes: attributes(65) }),
    "too_many_attributes",
    "attributes",
  ],
  [
    "a long attribute key",
    encode({ ...GOOD, attributes: { ["k".repeat(129)]: "" } }),
    "field_too_long",
    "attributes",
  ],
  [
    "a long attribute",
    encode({ ...GOOD, attributes: { a: "v".repeat(4097) } }),
    "field_too_long",
    'attributes["a"]',
  ],
  ["deep metadata", encode({ ...GOOD, metadata: nested(33) }), "metadata_too_deep", "metadata"],
  [
    "large metadata",
    encode({ ...GOOD, metadata: { a: "x".repeat(LIMITS.metadataBytes) } }),
    "field_too_long",
    "metadata",
  ],
  ["NaN in metadata", encode({ ...GOOD, metadata: { a: Number.NaN } }), "invalid_metadata", "metadata"],
  [
    "a metadata value without kind",
    withField(7, Buffer.from([0x0a, 4, 0x0a, 0, 0x12, 0])),
    "invalid_metadata",
    "metadata",
  ],

  ["no time", encode(TIMELESS), "missing_time", "updated_at"],
  ["no time but a v4 uuid", encode({ ...TIMELESS, uuid: UUID_V4 }), "missing_time", "updated_at"],
  [
    "negative nanos",
    encode({ ...GOOD, updatedAt: { seconds: 1n, nanos: -1 } }),
    "invalid_timestamp",
    "updated_at",
  ],
  [
    "too many nanos",
    encode({ ...GOOD, createdAt: { seconds: 1n, nanos: 1e9 } }),
    "invalid_timestamp",
    "created_at",
  ],
  [
    "the future",
    encode({ ...GOOD, updatedAt: timestampFromMs(FUTURE_MS + 1) }),
    "timestamp_out_of_range",
    "updated_at",
  ],
  [
    "created in the future",
    encode({ ...GOOD, createdAt: timestampFromMs(FUTURE_MS + 1) }),
    "timestamp_out_of_range",
    "created_at",
  ],
  [
    "1899",
    encode({ ...GOOD, updatedAt: timestampFromMs(EARLIEST_MS - 1) }),
    "timestamp_out_of_range",
    "updated_at",
  ],
  [
    "the end of time",
    encode({ ...GOOD, updatedAt: { seconds: 2n ** 63n - 1n, nanos: 0 } }),
    "timestamp_out_of_range",
    "updated_at",
  ],
  [
    "a v7 uuid from the future",
    encode({ ...TIMELESS, uuid: uuidV7(FUTURE_MS + 1) }),
    "timestamp_out_of_range",
    "uuid",
  ],
];

const ACCEPTED: [what: string, bytes: Uint8Array][] = [
  ["the ordinary record", encode(GOOD)],
  ["no data_id", encode({ ...GOOD, dataId: "" })],
  ["metadata only", encode({ ...GOOD, data: "", metadata: { a: 1 } })],
  ["a payload only", encode({ ...GOOD, data: "", rawPayload: { content: new Uint8Array([0, 255]) } })],
  ["its own tenant", encode({ ...GOOD, tenantId: "acme" })],
  ["an upper-case uuid", encode({ ...GOOD, uuid: UUID_V4.toUpperCase() })],
  ["a lang with subtags", encode({ ...GOOD, lang: "zh-Hant-TW" })],
  ["line feeds in data", encode({ ...GOOD, data: "a\n\tb\x7f" })],
  ["ids in any script", encode({ ...GOOD, sourceId: "größe/日本/😀" })],
  [
    "the greatest lengths",
    encode({ ...GOOD, sourceType: "x".repeat(128), sourceId: "é".repeat(256), dataId: "x".repeat(1024) }),
  ],
  ["as many attributes as allowed", encode({ ...GOOD, attributes: attributes(64) })],
  ["metadata as deep as allowed", encode({ ...GOOD, metadata: nested(32) })],
  ["the furthest future", encode({ ...GOOD, updatedAt: timestampFromMs(FUTURE_MS) })],
  ["the earliest time", encode({ ...GOOD, updatedAt: timestampFromMs(EARLIEST_MS) })],
  ["a v7 uuid as its time", encode({ ...TIMELESS, uuid: uuidV7(NOW_MS) })],
  ["an unknown field", withField(900, Buffer.from("from the future"))],
];

describe("validateRecord", () => {
  it.each(REJECTED)("rejects %s", (_what, bytes, reason, field) => {
    expect(judge(bytes)).toMatchObject({ kind: "rejected", reason, field });
  });

  it.each(ACCEPTED)("accepts %s", (_what, bytes) => {
    expect(Buffer.from(accepted(bytes).bytes)).toEqual(Buffer.from(bytes));
  });

  it("takes the smaller limit of a server with small messages", () => {
    expect(validateRecord(encode(GOOD), { ...CONTEXT, maxRecordBytes: 10 })).toMatchObject({
      reason: "record_too_large",
      message: expect.stringContaining("10"),
    });
  });

  it("keeps the sent uuid and assigns a version 7 one where none came", () => {
    expect(formatUuid(accepted(encode({ ...GOOD, uuid: UUID_V4.toUpperCase() })).uuid)).toBe(UUID_V4);
    const { uuid } = accepted(encode(GOOD));
    expect(uuidV7Us(uuid)).toBeGreaterThan(NOW_MS * 1000);
  });

  it("orders by updated_at, else created_at, else the uuid's time", () => {
    const times = { createdAt: { seconds: 5n, nanos: 7_999 }, uuid: uuidV7(NOW_MS) };
    expect(accepted(encode({ ...TIMELESS, ...times, updatedAt: { seconds: 9n, nanos: 0 } })).versionUs).toBe(
      9_000_000,
    );
    expect(accepted(encode({ ...TIMELESS, ...times })).versionUs).toBe(5_000_007);
    expect(accepted(encode({ ...TIMELESS, uuid: uuidV7(NOW_MS) })).versionUs).toBe(NOW_MS * 1000);
  });

  it("merges message fields that come twice, as protobuf does", () => {
    const first = encode({ ...GOOD, metadata: { a: 1 }, updatedAt: { seconds: 100n } });
    const second = encode({ metadata: { b: 2 }, updatedAt: { nanos: 5_000 } });
    const both = Buffer.concat([first, second]);
    const verdict = accepted(both);
    expect(fromBinary(IngestionDataSchema, verdict.bytes)).toEqual(fromBinary(IngestionDataSchema, both));
    expect(verdict.versionUs).toBe(100_000_005);
    const plain = encode({ ...GOOD, metadata: { b: 2, a: 1 }, updatedAt: { seconds: 100n, nanos: 5_000 } });
    expect(verdict.contentHash).toEqual(accepted(plain).contentHash);
  });

  it("settles a metadata value with two kinds as protobuf does", () => {
    // fields { key: "" value { string_value: "x" bool_value: true } }
    const twoKinds = withField(7, Buffer.from([0x0a, 9, 0x0a, 0, 0x12, 5, 0x1a, 1, 0x78, 0x20, 1]));
    expect(accepted(twoKinds).contentHash).toEqual(
      accepted(encode({ ...GOOD, metadata: { "": true } })).contentHash,
    );
  });
});

const name = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
  .filter((value) => [...value].every((character) => character >= " " && character !== "\x7f"));
const text = fc.string({ unit: "grapheme", maxLength: 50 }).filter((value) => !value.includes("\0"));
const jsonObject = fc.dictionary(
  text,
  fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.constant(null),
      fc.boolean(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      text,
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(text, tie("value"), { maxKeys: 4 }),
    ),
  })).value,
  { maxKeys: 6 },
) as fc.Arbitrary<JsonObject>;

const record: fc.Arbitrary<RecordInit> = fc.record(
  {
    uuid: fc.uuid(),
    tenantId: fc.constantFrom("", "acme"),
    sourceType: name,
    sourceId: name,
    dataId: name,
    data: text,
    metadata: jsonObject,
    metadataType: name,
    lang: fc.constantFrom("", "en", "de-CH"),
    attributes: fc.dictionary(text, text, { maxKeys: 6 }),
    createdAt: fc.record({
      seconds: fc.bigInt(BigInt(EARLIEST_MS / 1000), BigInt(NOW_MS / 1000)),
      nanos: fc.nat(999_999_999),
    }),
    updatedAt: fc.record({ seconds: fc.bigInt(0n, BigInt(NOW_MS / 1000)), nanos: fc.nat(999_999_999) }),
    rawPayload: fc.record({ content: fc.uint8Array(), contentType: fc.constantFrom("", "a/b") }),
  },
  { requiredKeys: ["sourceType", "sourceId", "metadata", "updatedAt"] },
);

describe("validateRecord, whatever the record", () => {
  it("says what a full decode says", () => {
    fc.assert(
      fc.property(record, (init) => {
        const bytes = encode(init);
        const decoded = fromBinary(IngestionDataSchema, bytes);
        const verdict = accepted(bytes);
        expect(Buffer.from(verdict.sourceType).toString()).toBe(decoded.sourceType);
        expect(Buffer.from(verdict.sourceId).toString()).toBe(decoded.sourceId);
        if (decoded.uuid !== "") expect(formatUuid(verdict.uuid)).toBe(decoded.uuid);
        const { seconds, nanos } = decoded.updatedAt!;
        expect(BigInt(verdict.versionUs)).toBe(seconds * 1_000_000n + BigInt(Math.floor(nanos / 1000)));
      }),
    );
  });

  it("hashes the same content alike, however its maps are ordered and whatever surrounds it", () => {
    fc.assert(
      fc.property(record, record, (init, other) => {
        const content = {
          data: init.data ?? "",
          metadata: reversed(init.metadata!),
          metadataType: init.metadataType ?? "",
          lang: init.lang ?? "",
          attributes: reversed(init.attributes ?? {}),
        };
        const rawPayload = init.rawPayload === undefined ? {} : { rawPayload: init.rawPayload };
        const { rawPayload: _, ...around } = other;
        expect(accepted(encode({ ...around, ...content, ...rawPayload } as RecordInit)).contentHash).toEqual(
          accepted(encode(init)).contentHash,
        );
      }),
    );
  });

  it("hashes other content differently", () => {
    fc.assert(
      fc.property(record, fc.constantFrom("data", "metadataType", "lang"), (init, field) => {
        const changed = { ...init, [field]: `${init[field as "data"] ?? ""}x` };
        expect(accepted(encode(changed)).contentHash).not.toEqual(accepted(encode(init)).contentHash);
      }),
    );
  });

  it("never throws on garbage", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(100), (noise, at) => {
        const good = encode({ ...GOOD, metadata: { a: [1, "b", { c: null }] }, attributes: { a: "b" } });
        judge(noise);
        judge(Buffer.concat([good.subarray(0, at), noise, good.subarray(at)]));
      }),
      { numRuns: 2_000 },
    );
  });
});

/** The same object with its keys the other way round, at every level. */
function reversed<T>(value: T): T {
  if (Array.isArray(value)) return value.map(reversed) as T;
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  ) as T;
}
