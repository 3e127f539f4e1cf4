import { setTimeout as sleep } from "node:timers/promises";
import type { AdminProcess } from "../mesh/mesh.ts";
import { readStatuses } from "../mesh/process-status.ts";
import { createMeshView, type MeshView } from "./mesh-view.ts";

const EVERY_MS = 1000;
/** Replicas come and go. */
const FIND_EVERY_MS = 5000;
/** A process that says nothing must not hold up what is known of the others. */
const TIMEOUT_MS = 900;

/**
 * How the mesh is doing, every second until `signal` is aborted.
 *
 * @param find the processes that there are; asked again every few seconds. What it throws at first is thrown, later it is
 * left at those that were found last.
 */
export async function* watchMesh(
  find: () => Promise<readonly AdminProcess[]>,
  signal: AbortSignal,
  { everyMs = EVERY_MS, findEveryMs = FIND_EVERY_MS } = {},
): AsyncGenerator<MeshView, void> {
  let processes = await find();
  let foundMs = performance.now();
  let view: MeshView | undefined;
  while (!signal.aborted) {
    const startedMs = performance.now();
    if (startedMs - foundMs >= findEveryMs) {
      processes = await find().catch(() => processes);
      foundMs = startedMs;
    }
    view = createMeshView(await readStatuses(processes, { timeoutMs: TIMEOUT_MS }), new Date(), view);
    if (signal.aborted) return;
    yield view;
    const waitMs = Math.max(Math.min(100, everyMs), everyMs - (performance.now() - startedMs));
    await sleep(waitMs, undefined, { signal }).catch(() => {});
  }
}
