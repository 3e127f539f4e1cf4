import { fromBinary } from "@bufbuild/protobuf";
import { type Pipeline, PipelineSchema } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { type CompiledPipeline, compilePipeline } from "./pipeline.ts";
import { parsePipeline } from "./pipeline-parse.ts";

/** An entry of the bucket, as this software understands it. */
export interface StoredPipeline {
  /** The entry's number in the bucket; greater is newer. */
  readonly revision: number;
  /** What is stored; undefined where it can't be decoded. */
  readonly pipeline: Pipeline | undefined;
  /** Ready to run, or why it can't be. */
  readonly compiled: CompiledPipeline | { readonly problem: string };
}

/** The bucket's key of a pipeline. Its parts are encoded: a key takes neither "*" nor most of what a source type does. */
export function pipelineKey(tenant: string, sourceType: string): string {
  return `${encodePart(tenant)}.${encodePart(sourceType)}`;
}

function encodePart(part: string): string {
  return Buffer.from(part).toString("base64url");
}

/**
 * The version of a pipeline that is applied now. From the clock, so that versions keep growing when the bucket is
 * lost; beyond every version known, so that they keep growing when the clock is set back.
 */
export function nextVersion(greatestKnown: bigint, nowMs: number): bigint {
  const now = BigInt(nowMs);
  return now > greatestKnown ? now : greatestKnown + 1n;
}

/** Reads an entry. Never throws: what newer software has stored is a problem to be told. */
export function readStoredPipeline(key: string, revision: number, value: Uint8Array): StoredPipeline {
  let pipeline: Pipeline;
  try {
    pipeline = fromBinary(PipelineSchema, value);
  } catch (error) {
    const problem = `the entry ${key} is not an encoded pipeline: ${(error as Error).message}`;
    return { revision, pipeline: undefined, compiled: { problem } };
  }
  return { revision, pipeline, compiled: compileStored(key, pipeline) };
}

function compileStored(key: string, pipeline: Pipeline): StoredPipeline["compiled"] {
  const name = `the pipeline ${pipeline.tenantId}/${pipeline.sourceType}, version ${pipeline.version}`;
  const parsed = parsePipeline(pipeline.definition);
  if ("problems" in parsed) {
    const [first, ...more] = parsed.problems;
    const others = more.length === 0 ? "" : ` (and ${more.length} more)`;
    return { problem: `${name}: line ${first?.line ?? 1}: ${first?.message}${others}` };
  }
  const { tenant, sourceType } = parsed.pipeline;
  if (pipelineKey(tenant, sourceType) !== key) return { problem: `${name} is stored under another's key` };
  return compilePipeline(parsed.pipeline, pipeline.version);
}
