import type { RecordDraft } from "./record-draft.ts";
import { failed, type RunStep, type StepFailure, type StepOutcome } from "./steps/step.ts";

/** Stands for every tenant or every source type. */
export const anyScope = "*";

/** What a pipeline's document says, checked. */
export interface PipelineSpec {
  /** A tenant id, or `*`. */
  readonly tenant: string;
  /** A source type, or `*`. */
  readonly sourceType: string;
  readonly description: string;
  readonly steps: readonly { readonly name: string; readonly run: RunStep }[];
}

/** `step` is the position, counted from 0, and the name of the step that failed: `2:map`. */
export type PipelineOutcome = { readonly ok: true } | (StepFailure & { readonly step: string });

/** A version of a pipeline, ready to run. */
export interface CompiledPipeline {
  readonly tenant: string;
  readonly sourceType: string;
  readonly version: bigint;
  /** Without steps a record passes as it is, and nobody needs to decode it. */
  readonly hasSteps: boolean;
  /** Runs the steps up to the first that fails. Never throws. The draft of a failed record is of no more use. */
  run(draft: RecordDraft): PipelineOutcome;
}

/** Gives a spec its version and a way to run it. */
export function compilePipeline(spec: PipelineSpec, version: bigint): CompiledPipeline {
  const steps = spec.steps.map(({ name, run }, position) => ({ label: `${position}:${name}`, run }));
  return {
    tenant: spec.tenant,
    sourceType: spec.sourceType,
    version,
    hasSteps: steps.length > 0,
    run(draft) {
      for (const { label, run } of steps) {
        const outcome = runSafely(run, draft);
        if (!outcome.ok) return { ...outcome, step: label };
      }
      return { ok: true };
    },
  };
}

function runSafely(run: RunStep, draft: RecordDraft): StepOutcome {
  try {
    return run(draft);
  } catch (error) {
    // The kind only: an exception's message may quote the record.
    return failed("step_error", error instanceof Error ? error.name : "unknown error");
  }
}
