import { createLogger } from "@chowhound/shared/runtime/logger";
import { freshDatabase } from "@chowhound/shared/testing/test-servers";
import { Client } from "pg";
import { PostgresWriter } from "./postgres-writer.ts";

/** What a part of the store is created with, to work on this database. */
export interface StoreOptions {
  url: string;
  statementTimeoutMs: number;
  log: ReturnType<typeof createLogger>;
}

/** A database with the store's tables, for one test file. */
export interface TestDatabase {
  options: StoreOptions;
  /** To look and to tamper. */
  client: Client;
  /** Each on a lane of its own. */
  writers: [PostgresWriter, PostgresWriter];
  /** Removes all that the store has written. */
  empty(): Promise<void>;
  drop(): Promise<void>;
}

export async function openTestDatabase(): Promise<TestDatabase> {
  const database = await freshDatabase();
  const options = {
    url: database.url,
    statementTimeoutMs: 30_000,
    log: createLogger("test", "error"),
  };
  const client = new Client({ connectionString: database.url });
  const writers: TestDatabase["writers"] = [
    new PostgresWriter({ ...options, lane: 0 }),
    new PostgresWriter({ ...options, lane: 1 }),
  ];
  await client.connect();
  for (const writer of writers) await writer.open();
  return {
    options,
    client,
    writers,
    empty: async () => {
      await client.query(`truncate records, invoices, totals, dead_letters, compacted_invoices, invoice_repeats,
        audit_write_offs, raw_given, raw_rewinds`);
    },
    drop: async () => {
      for (const writer of writers) await writer.close();
      await client.end();
      await database.drop();
    },
  };
}
