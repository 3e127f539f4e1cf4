import type { FaultMesh } from "./fault-mesh.ts";
import { knownRecord } from "./known-records.ts";
import { waitUntil } from "./patience.ts";

/** Sends a record under a key of its own and waits until it is a row: the mesh works from end to end. @returns ms it took */
export async function probe(mesh: FaultMesh, dataId: string): Promise<number> {
  const startedMs = performance.now();
  await mesh.producers[0]!.send([knownRecord({ sourceType: "note", sourceId: "probe", dataId }, 1)]);
  await untilRow(mesh, dataId);
  return performance.now() - startedMs;
}

async function untilRow(mesh: FaultMesh, dataId: string): Promise<void> {
  await waitUntil(`${dataId} is a row`, {
    isDone: () =>
      mesh
        .withBooks(
          async ({ query }) => (await query("select from records where data_id = $1", [dataId])).length > 0,
        )
        .catch(() => false),
    progress: () => mesh.withBooks(async (books) => (await books.read()).invoices),
    pollMs: 20,
  });
}
