import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import {
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { HASH_BYTES } from "../record/content-hash.ts";
import { ENVELOPE_VERSION } from "./decode-batch.ts";

/**
 * A message that is not a batch, as an enriched batch of one dead record that keeps it whole: so it is booked and shown
 * like everything else. Made again from the same message, it is the same batch.
 *
 * @param origin the message's number; the epoch negated where the message was not in RAW
 * @param stage who met it
 */
export function wrapUndecodable(
  message: Uint8Array,
  origin: { readonly epoch: bigint; readonly sequence: bigint },
  storedAtMs: number,
  stage: "enricher" | "store",
  why: string,
): RecordBatch {
  const identity = createHash("sha256").update(`undecodable ${origin.epoch} ${origin.sequence}`).digest();
  const uuid = Buffer.from(identity.subarray(16));
  // Version 8, "custom", of the variant that all have.
  uuid[6] = (uuid[6]! & 0x0f) | 0x80;
  uuid[8] = (uuid[8]! & 0x3f) | 0x80;
  const storedAtUs = BigInt(storedAtMs) * 1000n;
  return create(RecordBatchSchema, {
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
    deadLabels: [{ index: 0, stage, reason: "undecodable_batch", detail: why.slice(0, 500) }],
  });
}
