import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import { RecordBatchSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { HASH_BYTES } from "@chowhound/shared/record/content-hash";
import type { RawNumber } from "./enrich-batch.ts";

/**
 * A message of RAW that is not a batch, as an enriched batch of one dead record that keeps it whole: so it is booked
 * and shown like everything else. Made again from the same message, it is the same batch.
 */
export function wrapUndecodable(
  message: Uint8Array,
  origin: RawNumber,
  storedAtMs: number,
  why: string,
): Uint8Array {
  const identity = createHash("sha256").update(`undecodable ${origin.epoch} ${origin.sequence}`).digest();
  const uuid = Buffer.from(identity.subarray(16));
  // Version 8, "custom", of the variant that all have.
  uuid[6] = (uuid[6]! & 0x0f) | 0x80;
  uuid[8] = (uuid[8]! & 0x3f) | 0x80;
  const storedAtUs = BigInt(storedAtMs) * 1000n;
  return toBinary(
    RecordBatchSchema,
    create(RecordBatchSchema, {
      envelopeVersion: ENVELOPE_VERSION,
      batchId: identity.subarray(0, 16),
      acceptedAtUs: storedAtUs,
      acceptedCount: 1,
      // Nobody knows whose it is.
      calls: [{ tenantId: "" }],
      originals: [message],
      callOf: [0],
      uuids: uuid,
      contentHashes: createHash("sha256").update(message).digest().subarray(0, HASH_BYTES),
      versionsUs: [storedAtUs],
      origin,
      pipelines: [{}],
      pipelineOf: [0],
      fingerprints: new Uint8Array(HASH_BYTES),
      deadLabels: [{ index: 0, stage: "enricher", reason: "undecodable_batch", detail: why.slice(0, 500) }],
    }),
  );
}
