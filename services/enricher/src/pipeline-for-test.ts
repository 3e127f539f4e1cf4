import { type CompiledPipeline, compilePipeline } from "./pipeline.ts";
import { parsePipeline } from "./pipeline-parse.ts";

/** A pipeline for tests, from the YAML of its steps; one step a line: `- require: { … }`. */
export function pipelineOf(steps: string, { tenant = "acme", sourceType = "forum", version = 7n } = {}) {
  const parsed = parsePipeline(definitionOf(steps, { tenant, sourceType }));
  if ("problems" in parsed) throw new Error(JSON.stringify(parsed.problems));
  return compilePipeline(parsed.pipeline, version) satisfies CompiledPipeline;
}

/** A pipeline's document. */
export function definitionOf(steps: string, { tenant = "acme", sourceType = "forum" } = {}): string {
  const indented = steps.trim().replaceAll(/^\s*/gm, "  ");
  return `tenant: "${tenant}"\nsource_type: "${sourceType}"\nsteps:\n${indented}\n`;
}
