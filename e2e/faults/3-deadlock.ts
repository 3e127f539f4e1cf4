import assert from "node:assert/strict";
import type { Client } from "pg";
import { knownRecord } from "./harness/known-records.ts";
import { waitUntil } from "./harness/patience.ts";
import type { Scenario } from "./harness/scenario.ts";

const source = { sourceType: "note", sourceId: "deadlock" };
const lockRow = (other: Client, dataId: string) =>
  other.query("select from records where source_id = $1 and data_id = $2 for update", [
    source.sourceId,
    dataId,
  ]);

export const scenario: Scenario = {
  title: "the store deadlocks with a session that locks the same rows in the opposite order",
  async run({ mesh, underLoad, database, recovered, fault }) {
    const both = (version: number) => ["a", "b"].map((dataId) => knownRecord({ ...source, dataId }, version));
    const query = <T extends object>(sql: string): Promise<T[]> =>
      mesh.withBooks((books) => books.query<T>(sql));
    const countDeadlocks = async (): Promise<number> => {
      const [row] = await query<{ deadlocks: number }>(
        "select deadlocks::int from pg_stat_database where datname = current_database()",
      );
      return row!.deadlocks;
    };
    const before = await countDeadlocks();
    const producer = mesh.producers[0]!;
    await producer.send(both(1));
    await recovered();

    await underLoad(async () => {
      for (let version = 2; version <= 4; version++) {
        const other = await database.connect();
        // It is the patient one: the store is whom PostgreSQL chooses to fail.
        await other.query("begin; set local deadlock_timeout = '60s'");
        await lockRow(other, "b");
        const { pid } = (await other.query<{ pid: number }>("select pg_backend_pid() as pid")).rows[0]!;
        await producer.send(both(version));
        await waitUntil("the store has row a and waits for row b", {
          isDone: async () =>
            (await query(`select from pg_stat_activity where ${pid} = any(pg_blocking_pids(pid))`)).length >
            0,
          progress: async () => mesh.ledger.accepted,
        });
        fault("another session locks row a, too: a deadlock, broken at the store's expense");
        await lockRow(other, "a");
        await other.query("rollback");
        await other.end();
        await recovered();
      }
    });
    const deadlocks = (await countDeadlocks()) - before;
    assert.ok(deadlocks >= 3, `${deadlocks} deadlocks`);
  },
};
