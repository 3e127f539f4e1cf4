import { ordinalAt } from "@chowhound/shared/batch/batch-columns";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { GroupFates } from "./group-fates.ts";
import type { DeadRecord } from "./incoming-record.ts";
import type { RecordVerdict } from "./ingestion-writer.ts";

/** What became of the record at an index of a batch of the group, with the reason where it is dead. */
export function recordVerdicts(
  fates: GroupFates,
  dead: readonly DeadRecord[],
): (batch: RecordBatch, index: number) => RecordVerdict {
  let causes: Map<RecordBatch, Map<number, DeadRecord>> | undefined;
  return (batch, index) => {
    const verdict = fates.verdictAt(batch, ordinalAt(batch, index));
    if (verdict !== "dead_lettered") return { verdict };
    causes ??= sort(dead);
    const { reason, detail } = causes.get(batch)!.get(index)!;
    return { verdict, reason, detail };
  };
}

function sort(dead: readonly DeadRecord[]): Map<RecordBatch, Map<number, DeadRecord>> {
  const byBatch = Map.groupBy(dead, ({ batch }) => batch);
  return new Map(
    [...byBatch].map(([batch, records]) => [batch, new Map(records.map((record) => [record.index, record]))]),
  );
}
