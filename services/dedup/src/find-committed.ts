import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { FingerprintIndex } from "@chowhound/shared/evidence/fingerprint-index";
import { HASH_BYTES } from "@chowhound/shared/record/content-hash";

/** The indices, ascending, of the records whose fingerprint the index holds. Records labelled dead are never among them. */
export function findCommitted(batch: RecordBatch, index: Pick<FingerprintIndex, "has">): number[] {
  const dead = new Set(batch.deadLabels.map((label) => label.index));
  const { fingerprints } = batch;
  const found: number[] = [];
  for (let record = 0; record * HASH_BYTES < fingerprints.length; record++) {
    if (index.has(fingerprints, record * HASH_BYTES) && !dead.has(record)) found.push(record);
  }
  return found;
}

/** Whether the index holds any of these fingerprints. */
export function holdsAny(index: Pick<FingerprintIndex, "has">, fingerprints: Uint8Array): boolean {
  for (let at = 0; at < fingerprints.length; at += HASH_BYTES) if (index.has(fingerprints, at)) return true;
  return false;
}
