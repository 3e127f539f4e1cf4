import { create } from "@bufbuild/protobuf";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { expect, test } from "vitest";
import { enrichBatch } from "./enrich-batch.ts";
import { pipelineOf } from "./pipeline-for-test.ts";
import { setOfOne } from "./pipeline-set.ts";
import { testPipeline } from "./test-pipeline.ts";

const doubling = setOfOne(pipelineOf("- map: { metadata.copy: 'data' }"));
const limits = { maxRecordBytes: 1_500, maxMessageBytes: 2_500 };

test.each([
  [1_000, "enriched", ""],
  [1_200, "dead_lettered", "outgrew_message"],
  [1_600, "rejected", "record_too_large"],
])("a sample of %d bytes that its pipeline doubles ends as %s", async (bytes, outcome, reason) => {
  const sample = create(IngestionDataSchema, {
    sourceType: "forum",
    sourceId: "town-square",
    dataId: "post-1",
    data: "x".repeat(bytes),
  });
  const [result] = await testPipeline({
    samples: [sample],
    tenantId: "acme",
    enrich: async ({ message, origin }) => {
      const decoded = decodeBatch(message);
      if (decoded.kind !== "batch") throw new Error(decoded.kind);
      return enrichBatch(decoded.batch, origin, doubling, { maxBytes: limits.maxMessageBytes });
    },
    ...limits,
  });
  expect({ reason: "", ...result }).toMatchObject({ outcome, reason });
});
