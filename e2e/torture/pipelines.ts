import { createGrpcClient } from "@chowhound/local/grpc-client";
import { PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import type { FaultMesh } from "../faults/harness/fault-mesh.ts";
import { untilDone } from "./until-done.ts";

/** The source type whose pipeline is changed; all others have none. */
export const PIPED_SOURCE_TYPE = "host-inventory";

/** Changes of the one pipeline, and whether the rows show which of them made them. */
export interface Pipelines {
  /** Puts a pipeline in force that writes its tag into each record. */
  apply(tag: string): Promise<void>;
  /** Puts one in force that no record passes: all become dead letters. */
  applyDemanding(): Promise<void>;
  /** What rows say that no pipeline can have made of them. */
  judge(): Promise<string[]>;
}

export function createPipelines(mesh: FaultMesh): Pipelines {
  const tags = new Map<string, string>();

  const apply = async (steps: string): Promise<string> => {
    const definition = `tenant: "*"\nsource_type: ${PIPED_SOURCE_TYPE}\nsteps: ${steps}\n`;
    let attempts = 0;
    return untilDone("a pipeline is in force", async () => {
      const enricher = attempts++ % 2 === 0 ? "enricher" : "enricher-2";
      const { calls, close } = createGrpcClient(PipelineService, mesh.endpoints.admin[enricher]!, {
        timeoutMs: 5_000,
      });
      try {
        const { pipeline } = await calls.applyPipeline({ definition });
        return String(pipeline?.version);
      } finally {
        close();
      }
    });
  };

  return {
    async apply(tag) {
      tags.set(await apply(`[{ set: { values: { metadata.pipeline: ${JSON.stringify(tag)} } } }]`), tag);
    },
    async applyDemanding() {
      await apply("[{ require: { fields: [metadata.approval] } }]");
    },
    async judge() {
      const made = await mesh.withBooks(({ query }) =>
        query<{ version: string; tags: (string | null)[] }>(
          `select pipeline_version::text as version, array_agg(distinct metadata->>'pipeline') as tags
           from records where source_type = $1 group by 1`,
          [PIPED_SOURCE_TYPE],
        ),
      );
      const problems: string[] = [];
      for (const { version, tags: found } of made) {
        // A version whose answer got lost is not known, but it is one.
        const expected = version === "0" ? null : (tags.get(version) ?? found[0]);
        if (found.length !== 1 || found[0] !== expected)
          problems.push(`pipeline version ${version} wrote ${found.join(", ")}, expected ${expected}`);
      }
      return problems;
    },
  };
}
