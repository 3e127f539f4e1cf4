import { readdir, readFile } from "node:fs/promises";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { ClientBase } from "pg";

const FOLDER = new URL("../migrations/", import.meta.url);
/** Any constant: what all store replicas lock while they migrate. */
const LOCK_ID = 0x63686f77;

/** The database's schema is newer than this software. */
export class SchemaTooNewError extends Error {
  override name = "SchemaTooNewError";
}

/**
 * Brings the schema up to date: applies the numbered SQL files that the database has not seen, each in a transaction,
 * in their order. Any number of replicas may call it at once. Throws SchemaTooNewError where the database is ahead.
 */
export async function migrate(client: ClientBase, log: Logger): Promise<void> {
  const files = (await readdir(FOLDER)).filter((name) => /^\d{4}_.+\.sql$/.test(name)).sort();
  await client.query("select pg_advisory_lock($1)", [LOCK_ID]);
  try {
    await client.query(
      "create table if not exists schema_migrations (number integer primary key, name text not null, applied_at timestamptz not null default now())",
    );
    const { rows } = await client.query<{ number: number }>("select number from schema_migrations");
    const applied = new Set(rows.map((row) => row.number));
    const known = Number(files.at(-1)?.slice(0, 4) ?? 0);
    const newest = Math.max(0, ...applied);
    if (newest > known)
      throw new SchemaTooNewError(
        `the database's schema is at ${newest}, this software knows ${known}: run a newer store, or another database`,
      );
    for (const name of files) {
      const number = Number(name.slice(0, 4));
      if (applied.has(number)) continue;
      const sql = await readFile(new URL(name, FOLDER), "utf8");
      // One simple query is one transaction.
      await client.query(
        `begin;\n${sql};\ninsert into schema_migrations (number, name) values (${number}, '${name}');\ncommit`,
      );
      log.info({ migration: name }, "migrated the schema");
    }
  } catch (error) {
    await client.query("rollback").catch(() => {});
    throw error;
  } finally {
    await client.query("select pg_advisory_unlock($1)", [LOCK_ID]).catch(() => {});
  }
}
