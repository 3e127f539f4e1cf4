import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { tapBatch } from "@chowhound/shared/tap/batch-source";
import type { Tap } from "@chowhound/shared/tap/tap";
import type { WriteResult } from "./ingestion-writer.ts";

/**
 * Shows what became of the records of a commit. Batches that were booked before are not shown again.
 *
 * @param batches in the order of the result's outcomes
 */
export function showVerdicts(tap: Tap, { outcomes }: WriteResult, batches: readonly RecordBatch[]): void {
  for (const [place, outcome] of outcomes.entries()) {
    if (outcome.kind !== "booked" || outcome.verdictAt === undefined) continue;
    const { verdictAt } = outcome;
    tap.show(
      tapBatch(batches[place]!, {
        outcomeOf: (index) => verdictAt(index).verdict,
        causeOf: (index) => {
          const { reason, detail = "" } = verdictAt(index);
          return reason === undefined ? undefined : { reason, detail };
        },
      }),
    );
  }
}
