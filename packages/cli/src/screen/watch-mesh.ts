import { setTimeout as sleep } from "node:timers/promises";
import type { AdminProcess } from "../mesh/mesh.ts";
import { readStatuses } from "../mesh/process-status.ts";
import { createMeshView, type MeshView } from "./mesh-view.ts";

const EVERY_MS = 1000;
/** A process that says nothing must not hold up what is known of the others. */
const TIMEOUT_MS = 900;

/** How the mesh is doing, every second until `signal` is aborted. */
export async function* watchMesh(
  processes: readonly AdminProcess[],
  signal: AbortSignal,
): AsyncGenerator<MeshView, void> {
  let view: MeshView | undefined;
  while (!signal.aborted) {
    const startedMs = performance.now();
    view = createMeshView(await readStatuses(processes, { timeoutMs: TIMEOUT_MS }), new Date(), view);
    if (signal.aborted) return;
    yield view;
    const waitMs = Math.max(100, EVERY_MS - (performance.now() - startedMs));
    await sleep(waitMs, undefined, { signal }).catch(() => {});
  }
}
