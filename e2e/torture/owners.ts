import type { FaultMesh } from "../faults/harness/fault-mesh.ts";
import { waitUntil } from "../faults/harness/patience.ts";
import { ownerOfTakenUuid, TAKEN_UUID } from "./shape-record.ts";

/** Each tenant sends the record whose uuid others will claim, and waits until it is a row: its own from then on. */
export async function sendOwners(mesh: FaultMesh): Promise<void> {
  await Promise.all(mesh.producers.map((producer) => producer.send([ownerOfTakenUuid()])));
  const tenants = new Set(mesh.producers.map(({ tenant }) => tenant)).size;
  const countOwners = () =>
    mesh.withBooks(
      async ({ query }) => (await query("select from records where uuid = $1", [TAKEN_UUID])).length,
    );
  await waitUntil("each tenant has the uuid that others claim", {
    isDone: async () => (await countOwners().catch(() => 0)) === tenants,
    progress: async () => mesh.ledger.calls,
    maxMs: 180_000,
  });
}
