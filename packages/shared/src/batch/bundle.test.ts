import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  BatchBundleSchema,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeSample, sampleRawBatch } from "../testing/sample-batches.ts";
import { BUNDLE_ENVELOPE_VERSION, bundleBatches, unbundle } from "./bundle.ts";
import { decodeBatch } from "./decode-batch.ts";

const batch = encodeSample(sampleRawBatch({ records: [{}, {}] }));
const bundleOf = (...batches: Uint8Array[]): Uint8Array =>
  toBinary(
    BatchBundleSchema,
    create(BatchBundleSchema, { envelopeVersion: BUNDLE_ENVELOPE_VERSION, batches }),
  );

describe("a bundle", () => {
  it("holds any batches, in their order", () => {
    const bytes = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(fc.array(bytes, { minLength: 2, maxLength: 40 }), (batches) => {
        const message = bundleBatches(batches);
        expect(unbundle(message).map((each) => Buffer.from(each))).toEqual(
          batches.map((each) => Buffer.from(each)),
        );
        expect(fromBinary(BatchBundleSchema, message)).toMatchObject({
          envelopeVersion: BUNDLE_ENVELOPE_VERSION,
        });
      }),
    );
  });

  it("may have fields that this version doesn't know", () => {
    const message = Buffer.concat([bundleOf(batch, batch), Buffer.from([0xf8, 0x7f, 1])]);
    expect(unbundle(message)).toHaveLength(2);
  });

  it("is not made for a single batch", () => {
    expect(bundleBatches([batch])).toBe(batch);
  });
});

describe("a message that is no bundle", () => {
  const bundle = bundleOf(batch, batch);

  it.each([
    ["a batch", batch],
    ["nothing", new Uint8Array(0)],
    ["noise", Buffer.from("a message")],
    ["a bundle that is cut off", bundle.subarray(0, -1)],
    ["a bundle of nothing", bundleOf()],
    ["a bundle of more batches than anybody bundles", bundleOf(...Array(1_001).fill(new Uint8Array(0)))],
  ])("is taken for one batch: %s", (_, message) => {
    expect(unbundle(message)).toEqual([message]);
  });

  it.each([
    ["that is cut off", bundle.subarray(0, -1)],
    ["of nothing", bundleOf()],
    ["in a bundle", unbundle(bundleOf(bundle))[0]!],
  ])("is no batch either, and never software that is newer: a bundle %s", (_, message) => {
    expect(decodeBatch(message).kind).toBe("undecodable");
  });

  it("is told from one of newer software", () => {
    const envelopeVersion = BUNDLE_ENVELOPE_VERSION + 1;
    const newer = toBinary(RecordBatchSchema, create(RecordBatchSchema, { envelopeVersion }));
    expect(unbundle(newer)).toEqual([newer]);
    expect(decodeBatch(newer)).toEqual({ kind: "newer", envelopeVersion });
  });
});
