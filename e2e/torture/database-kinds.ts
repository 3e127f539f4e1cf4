import { setTimeout as sleep } from "node:timers/promises";
import { beforeCommit } from "../faults/harness/moments.ts";
import { type FaultKind, lasting } from "./fault-kind.ts";
import { untilDone } from "./until-done.ts";

/** Statements of the stores run into their timeout. */
export const lockedTable: FaultKind = (kind, random) => {
  const lastsMs = lasting(random);
  return {
    kind,
    what: `${kind} for ${lastsMs} ms`,
    uses: ["postgres"],
    async play({ database }) {
      const unlock = await untilDone("the table is locked", () => database.lockRecords());
      await sleep(lastsMs);
      await unlock();
    },
  };
};

/** What PostgreSQL says when it is not the row's fault: no space, out of memory, serialization, deadlock, cancelled. */
const TRANSIENT = ["53100", "53200", "40001", "40P01", "57014"];

export const failingWrites: FaultKind = (kind, random) => {
  const sqlstate = random.pick(TRANSIENT);
  const lastsMs = lasting(random);
  return {
    kind,
    what: `${kind} with SQLSTATE ${sqlstate} for ${lastsMs} ms`,
    uses: ["postgres"],
    async play({ database }) {
      const end = await untilDone("writes fail", () => database.failWrites(sqlstate));
      await sleep(lastsMs);
      await end();
    },
  };
};

/** Another session locks many rows one by one, in the opposite of the store's order. */
export const deadlock: FaultKind = (kind, random) => {
  const rows = 50 + random.below(200);
  return {
    kind,
    what: `${kind} over ${rows} rows`,
    uses: ["postgres"],
    async play({ database, note }) {
      const other = await untilDone("another session is there", () => database.connect());
      try {
        // It is the patient one: the store is whom PostgreSQL chooses to fail.
        await other.query("begin; set local deadlock_timeout = '60s'; set local lock_timeout = '10s'");
        const { rows: victims } = await other.query<{ ctid: string }>(
          `select * from (select tenant_id, source_type, source_id, data_id from records
             tablesample system (20) limit $1) victims order by 1 desc, 2 desc, 3 desc, 4 desc`,
          [rows],
        );
        for (const victim of victims)
          await other.query(
            `select from records where (tenant_id, source_type, source_id, data_id) = ($1, $2, $3, $4) for update`,
            Object.values(victim),
          );
        await other.query("rollback");
      } catch (error) {
        note(`the other session gave up: ${(error as Error).message}`);
      } finally {
        await other.end();
      }
    },
  };
};

/** Good rows become dead letters; those are replayed before the judge comes. */
export const badRows: FaultKind = (kind, random) => {
  const lastsMs = lasting(random);
  return {
    kind,
    what: `${kind} for ${lastsMs} ms`,
    uses: ["postgres"],
    async play({ database }) {
      const accept = await untilDone("rows are refused", () => database.refuseRows("poison-%"));
      await sleep(lastsMs);
      await untilDone("rows are accepted", accept);
    },
  };
};

/** Somebody else has all of the server's connections. */
export const noConnections: FaultKind = (kind, random) => {
  const lastsMs = lasting(random);
  return {
    kind,
    what: `${kind} for ${lastsMs} ms`,
    uses: ["postgres"],
    async play({ database }) {
      const end = await untilDone("all connections are taken", () => database.takeAllConnections());
      await sleep(lastsMs);
      await end();
    },
  };
};

/** A store that writes nothing in this time comes to no COMMIT. */
const COMMIT_PATIENCE_MS = 15_000;

/** All of PostgreSQL ends while a store's COMMIT is on its way or under way. */
export const killInCommit: FaultKind = (kind, random) => {
  const store = random.pick(["store", "store-2"]);
  const afterMs = random.below(5);
  return {
    kind,
    what: `${kind} of ${store}, after ${afterMs} ms`,
    uses: ["postgres", store],
    async play({ faults, mesh, note }) {
      const held = mesh.link(store, "postgres").hold(beforeCommit);
      const isReached = await Promise.race([held.reached.then(() => true), sleep(COMMIT_PATIENCE_MS, false)]);
      held.release();
      if (!isReached) return note(`${store} had nothing to commit: nothing was killed`);
      await sleep(afterMs);
      await faults.killWithSessions();
      await faults.start("postgres");
    },
  };
};
