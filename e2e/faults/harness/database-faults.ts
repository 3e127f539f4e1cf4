import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ensurePostgresHome } from "@chowhound/local/postgres-home";
import { runCommand } from "@chowhound/local/run-command";
import { findUnprivilegedUser } from "@chowhound/local/unprivileged-user";
import { Client } from "pg";
import type { FaultMesh } from "./fault-mesh.ts";
import type { Journal } from "./journal.ts";

/** What ails a database from within. What is returned ends the fault; calling it twice is harmless. */
export interface DatabaseFaults {
  /** Every insert into `records` fails with this SQLSTATE: 53100 is what PostgreSQL says when the disk is full. */
  failWrites(sqlstate: string): Promise<() => Promise<void>>;
  /** Another session holds all of `records`: each statement of the store waits, until its timeout. */
  lockRecords(): Promise<() => Promise<void>>;
  /** Another session has every connection that the server gives, and the store loses its own. Waits until it has. */
  takeAllConnections(): Promise<() => Promise<void>>;
  /** Rows whose data_id is like the pattern are refused: a bad row among good ones. */
  refuseRows(pattern: string): Promise<() => Promise<void>>;
  /** Keeps a copy of the database's files, instead of an earlier one; it is stopped for that. */
  backUp(): Promise<void>;
  /** The database is again as it was at `backUp`. */
  restore(): Promise<void>;
  /** The database is gone, and a new and empty one takes its place. */
  wipe(): Promise<void>;
  /** A session of somebody else. */
  connect(): Promise<Client>;
}

export function createDatabaseFaults(mesh: FaultMesh, journal: Journal): DatabaseFaults {
  const connect = async (): Promise<Client> => {
    const client = new Client(mesh.endpoints.postgresUrl);
    client.on("error", () => {});
    await client.connect();
    return client;
  };
  const run = (sql: string): Promise<void> => mesh.withBooks(async ({ query }) => void (await query(sql)));
  const endOnce = (text: string, end: () => Promise<unknown>): (() => Promise<void>) => {
    let ended: Promise<unknown> | undefined;
    return async () => {
      if (ended === undefined) journal.note(text);
      ended ??= end();
      await ended;
    };
  };

  const findCluster = async (): Promise<string> => {
    const home = await ensurePostgresHome(join(mesh.dataDir, "postgres"), findUnprivilegedUser());
    return join(home, "cluster");
  };
  const whileStopped = async (action: (cluster: string) => Promise<void>): Promise<void> => {
    const postgres = mesh.process("postgres");
    postgres.kill("SIGINT");
    await postgres.exited();
    await action(await findCluster());
    await postgres.restart();
  };

  return {
    connect,
    async backUp() {
      await whileStopped(async (cluster) => {
        await rm(`${cluster}.backup`, { recursive: true, force: true });
        await copyFiles(cluster, `${cluster}.backup`);
      });
      journal.note("a backup of the database is made");
    },
    async restore() {
      await whileStopped(async (cluster) => {
        await rm(cluster, { recursive: true });
        await copyFiles(`${cluster}.backup`, cluster);
      });
      journal.fault("the database is set back to its backup");
    },
    async wipe() {
      const url = new URL(mesh.endpoints.postgresUrl);
      const name = url.pathname.slice(1);
      url.pathname = "/postgres";
      const client = new Client(url.href);
      await client.connect();
      await client.query(`drop database ${name} with (force)`);
      await client.end();
      // Makes the database anew.
      await mesh.process("postgres").restart();
      journal.fault("the database is wiped");
    },
    async failWrites(sqlstate) {
      await run(`
        create or replace function fail_for_test() returns trigger language plpgsql
          as $$ begin raise exception 'raised by a test' using errcode = '${sqlstate}'; end $$;
        create trigger fail_for_test before insert on records for each statement execute function fail_for_test()`);
      journal.fault(`every insert fails with SQLSTATE ${sqlstate}`);
      return endOnce("inserts succeed again", () => run("drop trigger fail_for_test on records"));
    },
    async lockRecords() {
      const client = await connect();
      await client.query("begin; lock table records in access exclusive mode");
      journal.fault("another session locks the table of records");
      return endOnce("the lock is gone", () => client.end());
    },
    async takeAllConnections() {
      const taken: Client[] = [];
      const [first] = [await connect()];
      taken.push(first);
      journal.fault("another session takes every connection of the database");
      // The store's are ended as they come up; each place that falls free is taken, until none is left to it.
      for (;;) {
        const { rows } = await first.query<{ others: number }>(
          "select count(pg_terminate_backend(pid))::int as others from pg_stat_activity where application_name like 'chowhound%'",
        );
        const client = await connect().catch(() => undefined);
        if (client !== undefined) taken.push(client);
        else if (rows[0]!.others === 0) break;
        else await sleep(5);
      }
      return endOnce("the connections are free again", () =>
        Promise.all(taken.map((client) => client.end())),
      );
    },
    async refuseRows(pattern) {
      await run(
        `alter table records add constraint refused_by_test check (data_id not like '${pattern}') not valid`,
      );
      journal.fault(`rows like ${pattern} are refused by a check constraint`);
      return endOnce("no row is refused", () => run("alter table records drop constraint refused_by_test"));
    },
  };
}

/** With their owners, whom PostgreSQL insists on. */
async function copyFiles(from: string, to: string): Promise<void> {
  await runCommand("cp", ["-a", from, to]);
}
