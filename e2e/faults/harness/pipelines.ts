import { createGrpcClient } from "@chowhound/local/grpc-client";
import { PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import type { FaultMesh } from "./fault-mesh.ts";
import { waitUntil } from "./patience.ts";

/**
 * Applies a pipeline for every tenant through an enricher, and again where nobody knows whether it was stored.
 *
 * @param steps YAML, one step a line: "- require: { … }"
 * @returns its version
 */
export async function applyPipeline(
  mesh: FaultMesh,
  { through = "enricher", sourceType, steps }: { through?: string; sourceType: string; steps: string[] },
): Promise<bigint> {
  const definition = `tenant: "*"\nsource_type: ${sourceType}\nsteps:\n${steps.map((step) => `  ${step}\n`).join("")}`;
  let version: bigint | undefined;
  await waitUntil(`a pipeline of ${sourceType} is applied`, {
    isDone: async () => {
      version = await call(mesh, through, async ({ calls }) => {
        const { pipeline } = await calls.applyPipeline({ definition });
        return pipeline?.version;
      }).catch(() => undefined);
      return version !== undefined;
    },
    progress: async () => 0,
  });
  return version!;
}

/** Waits until an enricher has a version of a pipeline in force. */
export async function untilInForce(
  mesh: FaultMesh,
  enricher: string,
  { sourceType, version }: { sourceType: string; version: bigint },
): Promise<void> {
  const read = () =>
    call(mesh, enricher, async ({ calls }) => {
      const { pipeline } = await calls.getPipeline({ tenantId: "*", sourceType });
      return pipeline?.version;
    }).catch(() => undefined);
  await waitUntil(`${enricher} has version ${version} of ${sourceType} in force`, {
    isDone: async () => (await read()) === version,
    progress: async () => String(await read()),
  });
}

async function call<T>(
  mesh: FaultMesh,
  enricher: string,
  action: (client: ReturnType<typeof createGrpcClient<typeof PipelineService.method>>) => Promise<T>,
): Promise<T> {
  const client = createGrpcClient(PipelineService, mesh.endpoints.admin[enricher]!, { timeoutMs: 5_000 });
  try {
    return await action(client);
  } finally {
    client.close();
  }
}
