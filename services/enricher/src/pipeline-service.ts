import { type Pipeline, PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { TENANT_ID_PATTERN } from "@chowhound/shared/record/limits";
import type { ExtraService } from "@chowhound/shared/rpc/admin-server";
import { unaryHandlers } from "@chowhound/shared/rpc/grpc-service";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { anyScope, compilePipeline, type PipelineSpec } from "./pipeline.ts";
import { type PipelineProblem, parsePipeline } from "./pipeline-parse.ts";
import { setOfOne } from "./pipeline-set.ts";
import type { PipelineStore } from "./pipeline-store.ts";
import { type PipelineTest, testPipeline } from "./test-pipeline.ts";
import { SuspectTrial } from "./trial/suspect-trial.ts";

/** What a sample may use at most, beside what the enricher itself uses. */
const TRIAL_LIMITS = { heapMiB: 256, cpuMs: 2_000 };

/** What the problems of one definition may take in an error: it travels in a header, which gRPC bounds at 8 KiB. */
const maxShownLength = 3_000;

/**
 * chowhound.v1.PipelineService over the pipelines of this process.
 *
 * Samples are tried in a process of their own: a definition that is new may use up all memory, or never end.
 *
 * @param limits of a sample: what the mesh's NATS takes
 * @param signal aborted: no samples are tried any more
 */
export function createPipelineService(
  pipelines: Pick<PipelineStore, "list" | "get" | "apply" | "inForce">,
  limits: () => Pick<PipelineTest, "maxRecordBytes" | "maxMessageBytes">,
  { log, signal }: { log: Logger; signal: AbortSignal },
): ExtraService {
  const handlers = unaryHandlers(
    PipelineService,
    {
      listPipelines: async () => ({
        pipelines: pipelines.list().map((pipeline) => ({ ...pipeline, definition: "" })),
      }),
      getPipeline: async ({ tenantId, sourceType }) => ({ pipeline: pipelines.get(tenantId, sourceType) }),
      applyPipeline: async ({ definition, validateOnly }) => {
        const spec = parseOrThrow(definition);
        const pipeline = validateOnly ? preview(spec, definition) : await pipelines.apply(spec, definition);
        return { pipeline };
      },
      testPipeline: async ({ definition, tenantId, records }) => {
        const spec = definition === "" ? undefined : parseOrThrow(definition);
        const set = spec === undefined ? pipelines.inForce : setOfOne(compilePipeline(spec, 0n));
        if (set === undefined) {
          const message = "not all pipelines are in force yet; try again";
          throw new CallError("not_ready", message, { retryDelayMs: 1_000 });
        }
        const tenant = tenantOfTest(tenantId, spec);
        const list = () => (spec === undefined ? pipelines.list() : [{ definition, version: 0n }]);
        const over = new AbortController();
        const trial = new SuspectTrial({
          pipelines: { inForce: set, list, isForAll: spec !== undefined },
          // Whoever tries a pipeline is told what is wrong with it.
          log: log.child({}, { level: "silent" }),
          signal: AbortSignal.any([signal, over.signal]),
          limits: TRIAL_LIMITS,
        });
        const { maxRecordBytes, maxMessageBytes } = limits();
        try {
          const results = await testPipeline({
            samples: records,
            tenantId: tenant,
            enrich: (suspect) => trial.enrich(suspect, maxMessageBytes),
            maxRecordBytes,
            maxMessageBytes,
          });
          return { results };
        } finally {
          over.abort();
        }
      },
    },
    (method, error) => log.error({ err: error, method }, "pipeline call failed"),
  );
  return { service: PipelineService, handlers };
}

function preview(
  { tenant, sourceType, description }: PipelineSpec,
  definition: string,
): Omit<Pipeline, "$typeName"> {
  return { tenantId: tenant, sourceType, version: 0n, definition, description };
}

/** Throws CallError pipeline_test_invalid. */
function tenantOfTest(asked: string, spec: PipelineSpec | undefined): string {
  const named = spec === undefined || spec.tenant === anyScope ? "" : spec.tenant;
  const tenant = asked === "" ? named : asked;
  const refuse = (message: string) => new CallError("pipeline_test_invalid", message, { field: "tenant_id" });
  if (tenant === "") throw refuse("whose samples are they? Name their tenant in tenant_id");
  if (!TENANT_ID_PATTERN.test(tenant)) throw refuse(`tenant_id does not match ${TENANT_ID_PATTERN.source}`);
  if (named !== "" && tenant !== named)
    throw refuse(`the definition is for the tenant ${named}, and tenant_id is another; leave it empty`);
  return tenant;
}

/** Throws CallError pipeline_invalid with every problem, as far as there is room. */
function parseOrThrow(definition: string): PipelineSpec {
  const parsed = parsePipeline(definition);
  if ("pipeline" in parsed) return parsed.pipeline;
  const { problems } = parsed;
  const lines: string[] = [];
  const violations: { field: string; description: string }[] = [];
  let shownLength = 0;
  for (const problem of problems) {
    const line = describeProblem(problem);
    shownLength += line.length;
    if (shownLength > maxShownLength && lines.length > 0) {
      lines.push(`and ${problems.length - lines.length} more`);
      break;
    }
    lines.push(line.slice(0, maxShownLength));
    const description = problem.message.slice(0, maxShownLength);
    violations.push({ field: ["definition", problem.path].filter(Boolean).join("."), description });
  }
  throw new CallError("pipeline_invalid", `the pipeline is invalid:\n${lines.join("\n")}`, { violations });
}

function describeProblem({ line, path, message }: PipelineProblem): string {
  const place = [line === undefined ? "" : `line ${line}`, path].filter(Boolean).join(", ");
  return place === "" ? message : `${place}: ${message}`;
}
