import type { FaultMesh } from "./fault-mesh.ts";
import { knownRecord } from "./known-records.ts";
import { waitUntil } from "./patience.ts";

/** The source_id of all probes, and of nothing else. */
export const PROBE_SOURCE = "probe";

/** Far beyond any recovery: a mesh whose load lands, but not this one record, has lost it. */
const MAX_RECOVERY_MS = 180_000;

/** Sends a record under a key of its own and waits until it is a row: the mesh works from end to end. @returns ms it took */
export async function probe(mesh: FaultMesh, dataId: string): Promise<number> {
  const startedMs = performance.now();
  const { ledger } = mesh;
  for (;;) {
    const { setBacks } = ledger;
    await mesh.producers[0]!.send([knownRecord({ sourceType: "note", sourceId: PROBE_SOURCE, dataId }, 1)]);
    if (await isRowUnless(mesh, dataId, () => ledger.setBacks > setBacks))
      return performance.now() - startedMs;
  }
}

/** Waits until it is one; false: the database was set back meanwhile, and it may have been one before. */
async function isRowUnless(mesh: FaultMesh, dataId: string, isSetBack: () => boolean): Promise<boolean> {
  const isRow = () =>
    mesh
      .withBooks(
        async ({ query }) => (await query("select from records where data_id = $1", [dataId])).length > 0,
      )
      .catch(() => false);
  let isThere = false;
  await waitUntil(`${dataId} is a row`, {
    async isDone() {
      isThere = await isRow();
      return isThere || isSetBack();
    },
    progress: () => mesh.withBooks(async (books) => (await books.read()).invoices),
    maxMs: MAX_RECOVERY_MS,
    pollMs: 20,
  });
  return isThere;
}
