import { createHash } from "node:crypto";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { attributesToJson } from "./attributes-json.ts";
import { contentHash, type FingerprintParts, HASH_BYTES, recordFingerprint } from "./content-hash.ts";
import { RecordView } from "./record-view.ts";

type Init = MessageInitShape<typeof IngestionDataSchema>;

const encode = (init: Init): Uint8Array => toBinary(IngestionDataSchema, create(IngestionDataSchema, init));

function hashBytes(bytes: Uint8Array): string {
  const view = new RecordView().read(bytes);
  return contentHash(view).toString("hex");
}

const hashOf = (init: Init): string => hashBytes(encode(init));

/** The definition, written down a second time: SHA-256 over parts behind their lengths, cut to 128 bits. */
function reference(parts: readonly (string | Uint8Array)[]): string {
  const sha = createHash("sha256");
  for (const part of parts) {
    const bytes = Buffer.from(part as Uint8Array);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    sha.update(length).update(bytes);
  }
  return sha.digest("hex").slice(0, 2 * HASH_BYTES);
}

const sample = {
  uuid: "018f22e2-79b0-7cc3-98c4-dc0c0c07398f",
  tenantId: "acme",
  sourceType: "forum",
  sourceId: "town-square",
  dataId: "post-1",
  data: "Good morning.",
  metadata: { a: 1, b: { c: [true, null], d: "x" } },
  metadataType: "post/1",
  lang: "en",
  attributes: { color: "red", size: "large" },
  createdAt: { seconds: 1n },
  updatedAt: { seconds: 2n, nanos: 3000 },
  rawPayload: { content: new Uint8Array([1, 2, 3]), contentType: "text/plain" },
} satisfies Init;

const changed = (change: Init): Init => ({ ...sample, ...change }) as Init;
const reversed = <T extends object>(object: T): T =>
  Object.fromEntries(Object.entries(object).reverse()) as T;

describe("contentHash", () => {
  test("is what its definition says, for contents of any size", () => {
    for (const size of [0, 1, 65_000, 65_536, 300_000, 10]) {
      const data = "é".repeat(size / 2);
      expect(hashOf({ data, lang: "en", metadata: { a: 1 }, attributes: { b: "2", a: "1" } })).toBe(
        reference([data, '{"a":1}', "", "en", '{"a":"1","b":"2"}']),
      );
    }
  });

  // Stored rows are compared with it.
  test.each<[string, Init, string]>([
    ["every field", sample, "b3c543430966c2541ab4665f1bcc5c2a"],
    ["nothing", {}, "f3ee3b20d2594a95c558719beeae5a94"],
    [
      "text beyond ASCII",
      { data: "Gr\u00fc\u00dfe, \u{1f415}\ufffd", lang: "de-CH" },
      "6996a859c95e6e6b18f7a4bac7691996",
    ],
    [
      "keys whose order in UTF-16 is not that of their bytes",
      { metadata: { "\uffff": 1, "\u{10000}": 2, "\ue000": 3, "\ud7ff": 4, a: 5, "": 6, ab: 7, A: 8 } },
      "ce389eee87fa15d1f3267ddb06ec3e08",
    ],
    [
      "attributes in such an order",
      {
        attributes: { "\uffff": "1", "\u{1f415}": "2", "\ue000x": "3", b: "4", "10": "5", "9": "6", "": "7" },
      },
      "c8c30ab6c1f5369d19c624788102488c",
    ],
    [
      "numbers of every form",
      {
        metadata: {
          n: [
            0,
            -0,
            1,
            -1,
            0.1,
            1e21,
            1e-7,
            123456789.25,
            2 ** 53,
            -(2 ** 31),
            5e-324,
            1.7976931348623157e308,
          ],
        },
      },
      "f3ee912657d05b7fa4722709f6c8936d",
    ],
    [
      "characters that JSON escapes",
      {
        metadata: {
          '"\\/': "\b\t\n\f\r\u0001\u001f\u007f\u2028\u0085",
          nested: { "\n": ['"', "\\", "</script>"] },
        },
        attributes: { '"\\\u0002': '\u0003"\\\r\n' },
      },
      "b568b1848def646936ff70e872072ad6",
    ],
    [
      "empty values",
      { metadata: { a: {}, b: [], c: "", d: null, e: [[], {}, null] }, attributes: { a: "" } },
      "be5b1fa03ed7302fe17d7a972b3ea1e3",
    ],
    [
      "a payload alone",
      { rawPayload: { content: new Uint8Array([0, 255, 10]), contentType: "" } },
      "864208ace34081d00423ebc0ed59ae80",
    ],
    [
      "more than a small buffer holds",
      {
        data: "d".repeat(70_000),
        metadata: { text: "\u0001\u00e9".repeat(30_000) },
        attributes: { a: "x".repeat(4_000) },
      },
      "46b367bef7c6281f347b56adf801ee26",
    ],
  ])("stays the same from release to release: of %s", (_, init, hash) => {
    expect(hashOf(init)).toBe(hash);
  });

  test("does not depend on the order of fields, keys and attributes on the wire", () => {
    const expected = hashOf(sample);
    const other = { ...sample, metadata: reversed(sample.metadata), attributes: reversed(sample.attributes) };
    expect(hashOf(other)).toBe(expected);
    const fields = Object.entries(sample).map(([name, value]) => encode({ [name]: value }));
    fc.assert(
      fc.property(fc.shuffledSubarray(fields, { minLength: fields.length }), (shuffled) => {
        expect(hashBytes(Buffer.concat(shuffled))).toBe(expected);
      }),
      { numRuns: 50 },
    );
  });

  test.each<[string, Init]>([
    ["data", { data: "Good morning!" }],
    ["a value in metadata", { metadata: { ...sample.metadata, a: 2 } }],
    ["the kind of a value in metadata", { metadata: { ...sample.metadata, a: "1" } }],
    ["the order in a list in metadata", { metadata: { ...sample.metadata, b: { c: [null, true], d: "x" } } }],
    ["a key in metadata", { metadata: { ...sample.metadata, e: null } }],
    ["metadata_type", { metadataType: "post/2" }],
    ["lang", { lang: "de" }],
    ["an attribute's value", { attributes: { ...sample.attributes, size: "small" } }],
    ["an attribute's key", { attributes: { color: "red", Size: "large" } }],
    ["an attribute more", { attributes: { ...sample.attributes, "": "" } }],
    ["attributes that swapped values", { attributes: { color: "large", size: "red" } }],
    ["the raw payload", { rawPayload: { content: new Uint8Array([1, 2, 4]), contentType: "text/plain" } }],
    [
      "the raw payload's type",
      { rawPayload: { content: new Uint8Array([1, 2, 3]), contentType: "text/csv" } },
    ],
  ])("notices a change of %s", (_, change) => {
    expect(hashOf(changed(change))).not.toBe(hashOf(sample));
  });

  test("tells a text moved from one field to the next", () => {
    const texts = fc.string({ unit: fc.constantFrom("a", "b", "{", "}", '"'), maxLength: 6 });
    const content = fc.record({ data: texts, metadataType: texts, lang: texts });
    fc.assert(
      fc.property(content, content, (a, b) => {
        expect(hashOf(a) === hashOf(b)).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
    );
    expect(hashOf({ metadataType: "ab" })).not.toBe(hashOf({ metadataType: "a", lang: "b" }));
  });

  test.each<[string, Init]>([
    ["uuid", { uuid: "" }],
    ["created_at", { createdAt: { seconds: 77n } }],
    ["updated_at", { updatedAt: { seconds: 77n } }],
    ["the key, which is compared by itself", { tenantId: "", sourceType: "s", sourceId: "t", dataId: "u" }],
  ])("does not look at %s", (_, change) => {
    expect(hashOf(changed(change))).toBe(hashOf(sample));
  });

  test("does not tell absent from empty", () => {
    expect(hashOf({ metadata: {}, data: "", rawPayload: {} })).toBe(hashOf({}));
  });

  test("gives a value that later hashes leave alone", () => {
    const view = new RecordView().read(encode(sample));
    const first = contentHash(view);
    const copy = Buffer.from(first);
    contentHash(new RecordView().read(encode({ data: "another" })));
    expect(first).toEqual(copy);
    expect(first).toHaveLength(HASH_BYTES);
  });
});

test("the hash takes attributes as attributesToJson writes them, also those of a key that comes twice", () => {
  const text = fc.string({ unit: "binary" }).map((value) => value.replaceAll(/[\0\ufeff]/g, "-"));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.oneof(fc.constantFrom("a", "b"), text), text)), (pairs) => {
      const bytes = Buffer.concat(pairs.map(([key, value]) => encode({ attributes: { [key]: value } })));
      const json = attributesToJson(new RecordView().read(bytes).attributes());
      expect(hashBytes(bytes)).toBe(reference(["", "{}", "", "", json]));
    }),
  );
});

describe("attributesToJson", () => {
  test("is JSON with sorted keys", () => {
    const attributes = fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }));
    fc.assert(
      fc.property(attributes, (object) => {
        const json = attributesToJson(object);
        expect({ ...JSON.parse(json) }).toEqual({ ...object });
        expect(attributesToJson(reversed(object))).toBe(json);
      }),
    );
    expect(attributesToJson({ b: "2", "": '"', 10: "x", 9: "y" })).toBe(
      '{"":"\\"","10":"x","9":"y","b":"2"}',
    );
    expect(attributesToJson({})).toBe("{}");
  });
});

describe("recordFingerprint", () => {
  const parts: FingerprintParts = {
    tenantId: "acme",
    sourceType: Buffer.from("forum"),
    sourceId: Buffer.from("town-square"),
    dataId: Buffer.from("post-1"),
    versionUs: 1_700_000_000_000_000n,
    contentHash: Buffer.alloc(HASH_BYTES, 7),
    pipelineVersion: 3n,
  };
  const fingerprint = (change: Partial<FingerprintParts> = {}): string =>
    recordFingerprint({ ...parts, ...change }).toString("hex");

  test.each<[string, Partial<FingerprintParts>]>([
    ["tenant", { tenantId: "acme2" }],
    ["source_type", { sourceType: Buffer.from("Forum") }],
    ["source_id", { sourceId: Buffer.from("town-squarE") }],
    ["data_id", { dataId: "post-2" }],
    ["version", { versionUs: parts.versionUs + 1n }],
    ["a version before 1970", { versionUs: -parts.versionUs }],
    ["content hash", { contentHash: Buffer.alloc(HASH_BYTES, 8) }],
    ["pipeline version", { pipelineVersion: 4n }],
    ["the great half of the pipeline version", { pipelineVersion: 3n + 2n ** 40n }],
    ["version and pipeline version swapped", { versionUs: 3n, pipelineVersion: parts.versionUs }],
  ])("notices a change of %s", (_, change) => {
    expect(fingerprint(change)).not.toBe(fingerprint());
  });

  test("takes a derived data_id as text and a sent one as bytes, to the same effect", () => {
    expect(fingerprint({ dataId: "pöst" })).toBe(fingerprint({ dataId: Buffer.from("pöst") }));
  });

  test("tells apart what differs only in where one part ends", () => {
    const name = fc.string({ unit: fc.constantFrom("a", "b", "\0", "\u0001"), maxLength: 4 });
    const names = fc.tuple(name, name, name, name);
    const of = ([tenantId, sourceType, sourceId, dataId]: [string, string, string, string]) =>
      fingerprint({ tenantId, sourceType: Buffer.from(sourceType), sourceId: Buffer.from(sourceId), dataId });
    fc.assert(
      fc.property(names, names, (a, b) => {
        expect(of(a) === of(b)).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
    );
    expect(of(["ab", "c", "", ""])).not.toBe(of(["a", "bc", "", ""]));
    expect(of(["a", "", "b", ""])).not.toBe(of(["a", "b", "", ""]));
  });

  test("has 128 bits that later ones leave alone", () => {
    const first = recordFingerprint(parts);
    const copy = Buffer.from(first);
    recordFingerprint({ ...parts, tenantId: "other" });
    expect(first).toEqual(copy);
    expect(first).toHaveLength(HASH_BYTES);
  });
});
