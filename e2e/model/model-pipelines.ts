import { pipelineOf } from "../../services/enricher/src/pipeline-for-test.ts";
import { createPipelineSet, type PipelineSet } from "../../services/enricher/src/pipeline-set.ts";
import { type SentRecord, tenantOf } from "./model-gateway.ts";

/**
 * The pipelines of both tenants, version after version; the first is the built-in default. The last is kept for when nothing is
 * on its way any more.
 */
export const SAME_IDENTITY = versionsOf((version) => `- map: { attributes.by: '"pipeline ${version}"' }`);

/** The same for a source whose records get other keys with each version: some that had one together part, others meet. */
export const CHANGING_IDENTITY = versionsOf(
  (version) => `
    - map: { metadata.side: 'data == "content ${contentAside(version)}" ? "b" : "a"' }
    - derive_identity: { from: [data_id, metadata.side] }`,
);

/** The data_id under the last version of CHANGING_IDENTITY. */
export function lastIdentity({ key, content }: SentRecord): string {
  return `key-${key}:${content === contentAside(CHANGING_IDENTITY.length - 1) ? "b" : "a"}`;
}

/** Which content has a key of its own. The last version says the same as the one before. */
function contentAside(version: number): number {
  return version === 2 ? 2 : 1;
}

function versionsOf(steps: (version: number) => string): PipelineSet[] {
  return [0, 1, 2, 3, 4].map((version) =>
    createPipelineSet(
      version === 0
        ? []
        : [0, 1].map((tenant) =>
            pipelineOf(steps(version), { tenant: tenantOf(tenant), version: BigInt(version) }),
          ),
    ),
  );
}
