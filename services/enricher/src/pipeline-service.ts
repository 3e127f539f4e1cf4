import { type Pipeline, PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import type { ExtraService } from "@chowhound/shared/rpc/admin-server";
import { unaryHandlers } from "@chowhound/shared/rpc/grpc-service";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { PipelineSpec } from "./pipeline.ts";
import { type PipelineProblem, parsePipeline } from "./pipeline-parse.ts";
import type { PipelineStore } from "./pipeline-store.ts";

/** What the problems of one definition may take in an error: it travels in a header, which gRPC bounds at 8 KiB. */
const maxShownLength = 3_000;

/** chowhound.v1.PipelineService over the pipelines of this process. */
export function createPipelineService(
  pipelines: Pick<PipelineStore, "list" | "get" | "apply">,
  log: Logger,
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
