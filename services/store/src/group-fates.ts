import { create, toBinary } from "@bufbuild/protobuf";
import { wholeColumns } from "@chowhound/shared/batch/whole-columns";
import {
  BatchFatesSchema,
  type FateCall,
} from "@chowhound/shared/contracts/chowhound/internal/v1/batch_fates";
import type { Call, RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { RecordState } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { VERDICTS, type Verdict } from "./verdict.ts";

/** The verdicts as they are kept and told. */
export const STATE_OF: Readonly<Record<Verdict, RecordState>> = {
  stored: RecordState.STORED,
  updated: RecordState.UPDATED,
  unchanged: RecordState.UNCHANGED,
  stale: RecordState.STALE,
  duplicate: RecordState.DUPLICATE,
  conflict: RecordState.CONFLICT,
  dead_lettered: RecordState.DEAD_LETTERED,
};

/** What became of each record of a group of batches: one byte each. */
export class GroupFates {
  readonly #states = new Map<RecordBatch, Uint8Array>();

  constructor(batches: readonly RecordBatch[]) {
    // What is not settled here was dropped before.
    for (const batch of batches)
      this.#states.set(batch, new Uint8Array(batch.acceptedCount).fill(RecordState.DUPLICATE));
  }

  settle({ batch, ordinal }: { batch: RecordBatch; ordinal: number }, verdict: Verdict): void {
    this.#states.get(batch)![ordinal] = STATE_OF[verdict];
  }

  verdictAt(batch: RecordBatch, ordinal: number): Verdict {
    return VERDICTS.find((verdict) => STATE_OF[verdict] === this.#states.get(batch)![ordinal])!;
  }

  /** An encoded BatchFates. */
  encode(batch: RecordBatch): Uint8Array {
    const { uuids, callOf, pipelineOf } = wholeColumns(batch, { unknownCall: batch.calls.length });
    const fates = create(BatchFatesSchema, {
      uuids,
      states: this.#states.get(batch)!,
      calls: batch.calls.map(toFateCall),
      callOf: batch.calls.length > 1 ? callOf : [],
      pipelineVersions: batch.pipelines.map(({ version }) => version),
      pipelineOf: batch.pipelines.length > 1 ? pipelineOf : [],
      replayOrdinals: batch.replayOrdinals,
    });
    return toBinary(BatchFatesSchema, fates);
  }
}

function toFateCall({ tenantId, receiptId, traceparent }: Call): FateCall {
  const traceId = Buffer.from(traceparent.slice(3, 35), "hex");
  return { $typeName: "chowhound.internal.v1.FateCall", tenantId, receiptId, traceId };
}
