import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultMesh } from "./harness/fault-mesh.ts";
import { afterCommit, beforeCommit } from "./harness/moments.ts";
import type { Scenario } from "./harness/scenario.ts";

/** As shipped a COMMIT waits for the disk, and takes long enough to be hit. One writer: the open transaction is the held one. */
const MESH = { durable: true, env: { store: { CHOWHOUND_STORE_WRITERS: "1" } } };
const MAX_RACE_MS = 4;

export const scenario: Scenario = {
  title:
    "PostgreSQL, waiting for the disk as shipped, is killed right before, right after and in the midst of a COMMIT",
  isFast: true,
  mesh: MESH,
  async run({ mesh, underLoad, faults, recovered, random, isFull, note }) {
    const races = { committed: 0, lost: 0 };
    await underLoad(async () => {
      const before = await faults.holdAt("store", beforeCommit);
      const begun = await openTransaction(mesh);
      await faults.killWithSessions();
      before.release();
      await faults.start("postgres");
      assert.equal(await outcomeOf(mesh, begun), "lost");
      await recovered();

      const after = await faults.holdAt("store", afterCommit);
      const newest = await newestTransaction(mesh);
      await faults.killWithSessions();
      after.release();
      await faults.start("postgres");
      assert.equal(await outcomeOf(mesh, newest), "committed");
      await recovered();

      for (let race = 0; race < (isFull ? 20 : 2); race++) {
        const held = await faults.holdAt("store", beforeCommit);
        const raced = await openTransaction(mesh);
        held.release();
        await sleep(random.below(MAX_RACE_MS));
        await faults.killWithSessions();
        await faults.start("postgres");
        races[await outcomeOf(mesh, raced)]++;
        await recovered();
      }
    });
    note(`of those killed in the midst, ${races.committed} were committed, ${races.lost} not`);
    if (isFull) assert.ok(Math.min(races.committed, races.lost) > 0, "all races ended in the same way");
  },
};

/** When the store's transaction began, which has written something: its invoices say so, too, and no others do. */
async function openTransaction(mesh: FaultMesh): Promise<string> {
  const [open, ...more] = await mesh.withBooks(({ query }) =>
    query<{ begun: string }>(
      `select xact_start::text as begun from pg_stat_activity
       where application_name = 'chowhound-store' and backend_xid is not null`,
    ),
  );
  assert.deepEqual(more, []);
  return open!.begun;
}

async function newestTransaction(mesh: FaultMesh): Promise<string> {
  const [newest] = await mesh.withBooks(({ query }) =>
    query<{ begun: string }>("select max(booked_at)::text as begun from invoices"),
  );
  return newest!.begun;
}

async function outcomeOf(mesh: FaultMesh, begun: string): Promise<"committed" | "lost"> {
  const invoices = await mesh.withBooks(({ query }) =>
    query("select from invoices where booked_at = $1::timestamptz limit 1", [begun]),
  );
  return invoices.length > 0 ? "committed" : "lost";
}
