import type { z } from "zod";
import type { RecordDraft } from "../record-draft.ts";

/** Why a step may refuse a record. Each has a heading in `docs/pipelines.md`. */
export const failureReasons = [
  "required_field_missing",
  "set_type_mismatch",
  "map_failed",
  "map_type_mismatch",
  "identity_missing",
  "redact_too_many_matches",
  "step_error",
] as const;
export type FailureReason = (typeof failureReasons)[number];

/** A record a step can't process. `detail` is for people and never holds the record's contents. */
export interface StepFailure {
  readonly ok: false;
  readonly reason: FailureReason;
  readonly detail: string;
}
export type StepOutcome = { readonly ok: true } | StepFailure;

/** A step ready to run. It may change the draft as it likes: the draft of a failed record is thrown away. */
export type RunStep = (draft: RecordDraft) => StepOutcome;

/** A kind of step: its name in a pipeline, and a schema that turns options into a function over one record. */
export interface Step {
  readonly name: string;
  readonly schema: z.ZodType<RunStep>;
}

/**
 * Declares a kind of step. All that can be wrong with its options must be an issue of `schema` (use transforms to parse
 * what is inside of them); `compile` gets valid options and does once what needn't be done per record.
 */
export function defineStep<Options>(step: {
  readonly name: string;
  readonly schema: z.ZodType<Options>;
  readonly compile: (options: Options) => RunStep;
}): Step {
  return { name: step.name, schema: step.schema.transform(step.compile) };
}

/** The step is done with the record. */
export const done: StepOutcome = { ok: true };

/** The step can't process the record. */
export function failed(reason: FailureReason, detail: string): StepFailure {
  return { ok: false, reason, detail };
}
