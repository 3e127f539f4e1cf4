import { randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { RecordBatchSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeSample, sampleBatch, sampleRawBatch } from "../testing/sample-batches.ts";
import { decodeBatch, NEWEST_ENVELOPE_VERSION } from "./decode-batch.ts";
import { PACKED_ENVELOPE_VERSION, packBatch, peekPacked } from "./pack-batch.ts";

const records = Array.from({ length: 100 }, (_, i) => ({ data: `Good morning, number ${i}. `.repeat(40) }));
const raw = sampleRawBatch({ records, partition: 5 });
const encoded = encodeSample(raw);

/** What the enricher appends, for a batch of as many records. */
function additionsOf(batch: typeof raw): Uint8Array {
  const { origin, pipelines, pipelineOf, fingerprints } = batch;
  return toBinary(
    RecordBatchSchema,
    create(RecordBatchSchema, { origin, pipelines, pipelineOf, fingerprints }),
  );
}

function outer(fields: Parameters<typeof create<typeof RecordBatchSchema>>[1]): Uint8Array {
  return toBinary(RecordBatchSchema, create(RecordBatchSchema, fields));
}

describe("packing", () => {
  it("makes a batch a fraction, which decodes to what it was", () => {
    const packed = packBatch(encoded, raw);
    expect(packed.length).toBeLessThan(encoded.length / 3);
    const decoded = decodeBatch(packed);
    expect(decoded.kind).toBe("batch");
    if (decoded.kind === "batch") expect(encodeSample(decoded.batch)).toEqual(encoded);
  });

  it("leaves alone what is small, and what does not become smaller", () => {
    const small = encodeSample(sampleRawBatch({ records: records.slice(0, 5) }));
    expect(packBatch(small, raw)).toBe(small);
    const noise = encodeSample(
      sampleRawBatch({
        records: [{ rawPayload: { content: randomBytes(90_000), contentType: "application/octet-stream" } }],
      }),
    );
    expect(packBatch(noise, raw)).toBe(noise);
  });

  it("lets stages add to a message without unpacking it", () => {
    const enriched = sampleBatch({ records });
    const message = Buffer.concat([packBatch(encoded, raw), additionsOf(enriched)]);
    const decoded = decodeBatch(message);
    if (decoded.kind !== "batch") throw new Error(JSON.stringify(decoded));
    expect(decoded.batch.originals).toHaveLength(100);
    expect(decoded.batch.envelopeVersion).toBe(1);
    expect(Buffer.from(decoded.batch.fingerprints)).toEqual(enriched.fingerprints);
    const peeked = peekPacked(message);
    expect(peeked?.partition).toBe(5);
    expect(Buffer.from(peeked!.fingerprints)).toEqual(enriched.fingerprints);
  });

  it("any batch comes out as it went in", () => {
    const record = fc.record({ data: fc.string({ maxLength: 6_000, unit: "binary" }), dataId: fc.string() });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 60 }), (many) => {
        const batch = sampleRawBatch({ records: many });
        const bytes = encodeSample(batch);
        const decoded = decodeBatch(packBatch(bytes, batch));
        if (decoded.kind !== "batch") throw new Error(JSON.stringify(decoded));
        expect(Buffer.from(encodeSample(decoded.batch)).equals(bytes)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });
});

describe("a message that says it is packed", () => {
  const packed = peekPacked(packBatch(encoded, { partition: 5, acceptedCount: 9 }))!;
  const envelopeVersion = PACKED_ENVELOPE_VERSION;

  it.each([
    ["and isn't", outer({ envelopeVersion }), "packed fields that are none"],
    ["but is no zstd", outer({ envelopeVersion, ...packed, packed: randomBytes(100) }), "no zstd"],
    ["cut off", outer({ envelopeVersion, ...packed, packed: packed.packed.subarray(0, 99) }), "zstd"],
    ["with another length", outer({ envelopeVersion, ...packed, unpackedBytes: 7 }), "announced"],
    ["with an absurd length", outer({ envelopeVersion, ...packed, unpackedBytes: 2 ** 31 }), "a batch of"],
    [
      "twice over",
      packBatch(
        outer({ envelopeVersion, ...packed, dropped: records.map(() => ({ sourceId: "x".repeat(1_000) })) }),
        raw,
      ),
      "packed fields that are none",
    ],
  ])("%s is undecodable", (_, message, why) => {
    const decoded = decodeBatch(message);
    expect(decoded.kind).toBe("undecodable");
    if (decoded.kind === "undecodable") expect(decoded.detail).toContain(why);
  });

  it("in a layout newer than that is given back, and no fingerprints are read from it", () => {
    const newer = NEWEST_ENVELOPE_VERSION + 1;
    const message = outer({ ...packed, envelopeVersion: newer });
    expect(decodeBatch(message)).toEqual({ kind: "newer", envelopeVersion: newer });
    expect(peekPacked(message)).toBeUndefined();
  });
});
