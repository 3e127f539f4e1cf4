import { create } from "@bufbuild/protobuf";
import { callAt, ordinalAt, uuidAt } from "@chowhound/shared/batch/batch-columns";
import {
  DroppedCountSchema,
  type RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";

/** The batch as dedup passes it on without the records at these indices (ascending); none of them is enriched or dead. */
export function dropForTest(batch: RecordBatch, drops: readonly number[]): RecordBatch {
  const indices = batch.originals.map((_, index) => index);
  const kept = indices.filter((index) => !drops.includes(index));
  const column = <T>(values: readonly T[], of: readonly number[]): T[] => of.map((index) => values[index]!);
  const bytes = (values: Uint8Array, of: readonly number[]): Uint8Array =>
    Buffer.concat(of.map((index) => values.subarray(index * 16, index * 16 + 16)));
  const moved = <T extends { index: number }>(labels: readonly T[]): T[] =>
    labels.map((label) => ({ ...label, index: kept.indexOf(label.index) }));
  const dropped = drops.map((index) => {
    const view = new RecordView().read(batch.originals[index]!);
    return create(DroppedCountSchema, {
      tenantId: callAt(batch, index).tenantId,
      sourceType: view.text(RECORD_FIELD.sourceType),
      sourceId: view.text(RECORD_FIELD.sourceId),
      count: 1,
    });
  });
  return {
    ...batch,
    originals: column(batch.originals, kept),
    callOf: column(batch.callOf, kept),
    uuids: Buffer.concat(kept.map((index) => uuidAt(batch, index))),
    contentHashes: bytes(batch.contentHashes, kept),
    versionsUs: column(batch.versionsUs, kept),
    ordinals: kept.map((index) => ordinalAt(batch, index)),
    pipelineOf: column(batch.pipelineOf, kept),
    fingerprints: bytes(batch.fingerprints, kept),
    enrichments: moved(batch.enrichments),
    deadLabels: moved(batch.deadLabels),
    dropped,
    droppedUuids: bytes(batch.uuids, drops),
    droppedCallOf: column(batch.callOf, drops),
    droppedPipelineOf: column(batch.pipelineOf, drops),
  };
}
