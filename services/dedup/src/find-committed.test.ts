import { createFingerprintIndex } from "@chowhound/shared/evidence/fingerprint-index";
import { sampleBatch } from "@chowhound/shared/testing/sample-batches";
import { describe, expect, it } from "vitest";
import { findCommitted } from "./find-committed.ts";

describe("finding committed records", () => {
  it("finds those that the index holds, and never a dead one", () => {
    const batch = sampleBatch({ records: [{}, {}, { dead: { reason: "step_error" } }, {}] });
    const index = createFingerprintIndex({ capacity: 1_000 });
    for (const record of [1, 2, 3]) index.add(batch.fingerprints, record * 16);
    expect(findCommitted(batch, index)).toEqual([1, 3]);
  });

  it("tells versions, contents and pipelines of one key apart", () => {
    const record = { dataId: "post-1", data: "one", updatedAtUs: 1_000, pipelineVersion: 1 };
    const index = createFingerprintIndex({ capacity: 1_000 });
    index.add(sampleBatch({ records: [record] }).fingerprints, 0);
    const variants = [
      record,
      { ...record, data: "two" },
      { ...record, updatedAtUs: 1_001 },
      { ...record, pipelineVersion: 2 },
      { ...record, tenantId: "umbrella" },
    ];
    expect(findCommitted(sampleBatch({ records: variants }), index)).toEqual([0]);
  });
});
