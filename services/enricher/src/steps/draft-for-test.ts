import { type RecordContent, RecordDraft, type RecordIdentity, type RecordSource } from "../record-draft.ts";
import type { Step, StepOutcome } from "./step.ts";

export const testIdentity: RecordIdentity = {
  tenantId: "acme",
  uuid: "0190a6f0-0000-7000-8000-000000000000",
  sourceType: "npm-package",
  sourceId: "registry",
  createdAtUs: 1_700_000_000_123_456n,
  updatedAtUs: undefined,
};

/** A record with nothing in it. */
export const testSource: RecordSource = {
  ...testIdentity,
  dataId: () => "",
  data: () => "",
  metadata: () => ({}),
  metadataType: () => "",
  lang: () => "",
  attributes: () => ({}),
};

/** A draft over plain values. */
export function draftOf(content: Partial<RecordContent> = {}): RecordDraft {
  const decoders = Object.entries(content).map(([field, value]) => [field, () => value]);
  return new RecordDraft({ ...testSource, ...Object.fromEntries(decoders) });
}

/** Runs one step with the options a pipeline would give it; throws if the options are refused. */
export function runStep(step: Step, options: unknown, draft: RecordDraft): StepOutcome {
  return step.schema.parse(options)(draft);
}

/** The messages of what is wrong with a step's options, each after its path. */
export function optionProblems(step: Step, options: unknown): string[] {
  const parsed = step.schema.safeParse(options);
  return (parsed.error?.issues ?? []).map((issue) => `${issue.path.join("/")}: ${issue.message}`);
}
