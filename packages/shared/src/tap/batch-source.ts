import type {
  DeadLabel,
  Enrichment,
  RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { callAt, uuidAt } from "../batch/batch-columns.ts";
import { formatUuid } from "../record/uuid.ts";
import type { Outcome } from "./outcomes.ts";
import type { TapSource } from "./tap-source.ts";

/** Why a record is dead. */
export type DeadCause = Pick<DeadLabel, "reason" | "detail">;

export interface BatchFates {
  /** @param cause why the record is dead; undefined where it isn't */
  outcomeOf(index: number, cause: DeadCause | undefined): Outcome;
  /** Why a record is dead, where it is; left out: as the batch says. */
  causeOf?: ((index: number) => DeadCause | undefined) | undefined;
}

/** The records of an enriched batch, to be shown by a tap. */
export function tapBatch(
  batch: RecordBatch,
  { outcomeOf, causeOf = labelled(batch) }: BatchFates,
): TapSource {
  const changes = byIndex<Enrichment>(() => batch.enrichments);
  return {
    count: batch.originals.length,
    tenantAt: (index) => callAt(batch, index).tenantId,
    outcomeAt: (index) => outcomeOf(index, causeOf(index)),
    originalAt: (index) => batch.originals[index],
    factsAt: (index) => {
      const cause = causeOf(index);
      return {
        uuid: formatUuid(uuidAt(batch, index)),
        reason: cause?.reason ?? "",
        detail: cause?.detail ?? "",
        pipelineVersion: batch.pipelines[batch.pipelineOf[index]!]?.version ?? 0n,
        traceId: callAt(batch, index).traceparent.slice(3, 35),
        changed: changes(index),
      };
    },
  };
}

function labelled(batch: RecordBatch): (index: number) => DeadCause | undefined {
  return byIndex<DeadLabel>(() => batch.deadLabels);
}

/** A look-up by the index that each item names, made at the first question. */
function byIndex<T extends { index: number }>(items: () => readonly T[]): (index: number) => T | undefined {
  let map: Map<number, T> | undefined;
  return (index) => {
    map ??= new Map(items().map((item) => [item.index, item]));
    return map.get(index);
  };
}
