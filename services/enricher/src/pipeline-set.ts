import { anyScope, type CompiledPipeline, compilePipeline } from "./pipeline.ts";

/** What a record goes through if no pipeline is meant for it: nothing. */
export const defaultPipeline: CompiledPipeline = compilePipeline(
  { tenant: anyScope, sourceType: anyScope, description: "", steps: [] },
  0n,
);

/** Pipelines by tenant, then by source type. */
export type PipelineSet = ReadonlyMap<string, ReadonlyMap<string, CompiledPipeline>>;

/** Of several pipelines for the same tenant and source type, the one with the greatest version counts. */
export function createPipelineSet(pipelines: Iterable<CompiledPipeline>): PipelineSet {
  const set = new Map<string, Map<string, CompiledPipeline>>();
  for (const pipeline of pipelines) {
    const ofTenant = set.get(pipeline.tenant) ?? new Map<string, CompiledPipeline>();
    const known = ofTenant.get(pipeline.sourceType);
    if (known === undefined || known.version < pipeline.version) ofTenant.set(pipeline.sourceType, pipeline);
    set.set(pipeline.tenant, ofTenant);
  }
  return set;
}

/** One pipeline for every record, whatever it is meant for. */
export function setOfOne(pipeline: CompiledPipeline): PipelineSet {
  return new Map([[anyScope, new Map([[anyScope, pipeline]])]]);
}

/** The most specific pipeline for a record; a tenant's own default goes before a source type's. */
export function selectPipeline(set: PipelineSet, tenant: string, sourceType: string): CompiledPipeline {
  const ofTenant = set.get(tenant);
  const ofAll = set.get(anyScope);
  return (
    ofTenant?.get(sourceType) ??
    ofTenant?.get(anyScope) ??
    ofAll?.get(sourceType) ??
    ofAll?.get(anyScope) ??
    defaultPipeline
  );
}
