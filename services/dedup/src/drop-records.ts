import { create } from "@bufbuild/protobuf";
import { callAt, ordinalAt } from "@chowhound/shared/batch/batch-columns";
import { wholeColumns } from "@chowhound/shared/batch/whole-columns";
import {
  type DroppedCount,
  DroppedCountSchema,
  type RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { HASH_BYTES } from "@chowhound/shared/record/content-hash";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";
import { UUID_BYTES } from "@chowhound/shared/record/uuid";
import { writtenSource } from "@chowhound/shared/record/written-source";

/**
 * The batch without the records at `drops` (ascending, each once), which are counted by source instead and of which
 * no more is left than whose they were. The rest keep what every column says of them, and their places as the gateway made
 * them. Calls and pipelines stay, also those of which no record is left.
 *
 * Throws WireError where the original of a dropped record is not well formed.
 */
export function dropRecords(batch: RecordBatch, drops: readonly number[]): RecordBatch {
  const kept: number[] = [];
  const movedTo = new Map<number, number>();
  let nextDrop = 0;
  for (let index = 0; index < batch.originals.length; index++) {
    if (drops[nextDrop] === index) {
      nextDrop++;
      continue;
    }
    movedTo.set(index, kept.length);
    kept.push(index);
  }
  const column = <T>(values: readonly T[]): T[] => kept.map((index) => values[index]!);
  const labels = <T extends { index: number }>(of: readonly T[]): T[] =>
    of.flatMap((label) => {
      const index = movedTo.get(label.index);
      return index === undefined ? [] : [{ ...label, index }];
    });
  const ordinals = kept.map((index) => ordinalAt(batch, index));
  return {
    ...batch,
    originals: column(batch.originals),
    callOf: column(batch.callOf),
    uuids: fixedColumn(batch.uuids, UUID_BYTES, kept),
    contentHashes: fixedColumn(batch.contentHashes, HASH_BYTES, kept),
    versionsUs: column(batch.versionsUs),
    ordinals,
    pipelineOf: column(batch.pipelineOf),
    fingerprints: fixedColumn(batch.fingerprints, HASH_BYTES, kept),
    enrichments: labels(batch.enrichments),
    deadLabels: labels(batch.deadLabels),
    dropped: addDropped(batch, drops),
    droppedSourceOf: [],
    ...droppedColumns(batch, ordinals),
  };
}

/** Whose the records are that are not at any of these places. */
function droppedColumns(
  batch: RecordBatch,
  keptPlaces: readonly number[],
): Pick<RecordBatch, "droppedUuids" | "droppedCallOf" | "droppedPipelineOf"> {
  const whole = wholeColumns(batch);
  const places: number[] = [];
  let kept = 0;
  for (let place = 0; place < batch.acceptedCount; place++) {
    if (keptPlaces[kept] === place) kept++;
    else places.push(place);
  }
  return {
    droppedUuids: fixedColumn(whole.uuids, UUID_BYTES, places),
    droppedCallOf: places.map((place) => whole.callOf[place]!),
    droppedPipelineOf: places.map((place) => whole.pipelineOf[place]!),
  };
}

function fixedColumn(values: Uint8Array, width: number, kept: readonly number[]): Uint8Array {
  const result = new Uint8Array(kept.length * width);
  for (let place = 0; place < kept.length; place++) {
    const at = kept[place]! * width;
    result.set(values.subarray(at, at + width), place * width);
  }
  return result;
}

/** What the batch has counted already and one more for each drop. */
function addDropped(batch: RecordBatch, drops: readonly number[]): DroppedCount[] {
  const bySource = new Map<string, DroppedCount>();
  const countOf = ({
    tenantId,
    sourceType,
    sourceId,
  }: Omit<DroppedCount, "count" | "$typeName">): DroppedCount => {
    // No name holds a NUL character: the gateway lets none in.
    const key = `${tenantId}\0${sourceType}\0${sourceId}`;
    let counted = bySource.get(key);
    if (counted === undefined) {
      counted = create(DroppedCountSchema, { tenantId, sourceType, sourceId });
      bySource.set(key, counted);
    }
    return counted;
  };
  for (const known of batch.dropped) countOf(known).count += known.count;
  const view = new RecordView();
  const byCall = batch.calls.map(() => new Map<string, DroppedCount>());
  for (const index of drops) {
    view.read(batch.originals[index]!);
    const ofCall = byCall[batch.callOf[index]!]!;
    const written = writtenSource(view);
    let counted = ofCall.get(written);
    if (counted === undefined) {
      const sourceType = view.text(RECORD_FIELD.sourceType);
      const sourceId = view.text(RECORD_FIELD.sourceId);
      counted = countOf({ tenantId: callAt(batch, index).tenantId, sourceType, sourceId });
      ofCall.set(written, counted);
    }
    counted.count++;
  }
  return [...bySource.values()];
}
