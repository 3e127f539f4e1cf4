import type { DeadReason } from "@chowhound/shared/errors/reasons";
import { RECORD_FIELD, type RecordView } from "@chowhound/shared/record/record-view";
import { WireError } from "@chowhound/shared/record/wire";
import type { CompiledPipeline } from "./pipeline.ts";
import { type RecordChanges, RecordDraft } from "./record-draft.ts";
import { findInvalidChange } from "./validate-changes.ts";
import { ViewSource } from "./view-source.ts";

/** A record that can't be processed; `detail` is for people and never holds the record's contents. */
export interface DeadOutcome {
  readonly kind: "dead";
  readonly reason: DeadReason;
  readonly detail: string;
}

export type RecordOutcome =
  | {
      readonly kind: "passed";
      /** As it is after the pipeline. */
      readonly dataId: Buffer | string;
      readonly changes: RecordChanges | undefined;
    }
  | DeadOutcome;

/** Where a record stands in its batch. */
export interface RecordPlace {
  readonly tenantId: string;
  readonly uuids: Uint8Array;
  readonly uuidAt: number;
}

/** Has a pipeline process the record in `view`. Never throws: a record that breaks something is dead. */
export function enrichRecord(
  view: RecordView,
  place: RecordPlace,
  pipeline: CompiledPipeline,
): RecordOutcome {
  try {
    return pipeline.hasSteps ? runPipeline(view, place, pipeline) : passAsItIs(view);
  } catch (error) {
    return deadByException(error);
  }
}

/** What an exception makes of a record. Of its message nothing is kept: it may quote the record. */
export function deadByException(error: unknown): DeadOutcome {
  if (error instanceof WireError) {
    return dead("undecodable_record", "the record's bytes are not an encoded chowhound.v1.IngestionData");
  }
  return dead("step_error", error instanceof Error ? error.name : "unknown error");
}

function passAsItIs(view: RecordView): RecordOutcome {
  const dataId = view.slice(RECORD_FIELD.dataId);
  return dataId.length === 0 ? identityMissing : { kind: "passed", dataId, changes: undefined };
}

function runPipeline(view: RecordView, place: RecordPlace, pipeline: CompiledPipeline): RecordOutcome {
  const draft = new RecordDraft(new ViewSource(view, place.tenantId, place.uuids, place.uuidAt));
  const outcome = pipeline.run(draft);
  if (!outcome.ok) return dead(outcome.reason, `${outcome.step}: ${outcome.detail}`);
  const dataId = draft.get("dataId");
  if (dataId === "") return identityMissing;
  const changes = draft.changes();
  const invalid = changes === undefined ? undefined : findInvalidChange(changes);
  return invalid === undefined
    ? { kind: "passed", dataId, changes }
    : dead("enriched_field_invalid", invalid);
}

function dead(reason: DeadReason, detail: string): DeadOutcome {
  return { kind: "dead", reason, detail };
}

const identityMissing = dead(
  "identity_missing",
  "data_id is empty: the source sent none, and no pipeline derived one",
);
