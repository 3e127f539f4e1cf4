import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startNatsServer } from "@chowhound/local/nats-server";
import { findNatsServer } from "@chowhound/local/nats-server-binary";
import { startPostgres } from "@chowhound/local/postgres";
import { Client } from "pg";
import { BrokenBooksError } from "./measurement.ts";

/** NATS and PostgreSQL for what the mesh is compared with. */
export interface PlainServers {
  natsUrl: string;
  postgresUrl: string;
  pids: Record<"nats" | "postgres", number>;
  stop(): Promise<void>;
}

/** Rare, for it counts all rows: what is measured is not to pay for it. */
const POLL_MS = 500;
const STANDSTILL_MS = 30_000;

/**
 * Starts both as they come, with a table `records` that has the keys and indexes of the mesh's: PostgreSQL waits for the disk, and
 * NATS does not, in favour of whatever sends it many small messages.
 */
export async function startPlainServers(dataDir: string, signal: AbortSignal): Promise<PlainServers> {
  const log = (): void => {};
  const binary = await findNatsServer({ log });
  const nats = await startNatsServer({
    binary,
    dataDir: join(dataDir, "nats"),
    syncAlways: false,
    signal,
    log,
  });
  try {
    const postgres = await startPostgres({ dataDir: join(dataDir, "postgres"), signal, log });
    const stop = async (): Promise<void> => {
      await postgres.stop();
      await nats.stop();
    };
    try {
      await createTable(postgres.url);
    } catch (error) {
      await postgres.stop();
      throw error;
    }
    const pids = { nats: nats.pid, postgres: postgres.pid };
    return { natsUrl: nats.url, postgresUrl: postgres.url, pids, stop };
  } catch (error) {
    await nats.stop();
    throw error;
  }
}

export async function countRows(client: Client): Promise<number> {
  const { rows } = await client.query<{ n: number }>("select count(*)::int as n from records");
  return rows[0]!.n;
}

/** Waits until the table has so many rows. Throws where nothing comes any more. */
export async function untilRows(client: Client, expected: number, signal: AbortSignal): Promise<void> {
  let last = -1;
  let movedMs = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const rows = await countRows(client);
    if (rows >= expected) return;
    if (rows > last) {
      last = rows;
      movedMs = performance.now();
    } else if (performance.now() - movedMs > STANDSTILL_MS) {
      throw new BrokenBooksError(`no rows came any more: there are ${rows} of ${expected}`);
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}

/** When the transaction of the last row began, of the clock of `Date.now()`. */
export async function lastStoredMs(client: Client): Promise<number> {
  const { rows } = await client.query<{ at: Date }>("select max(stored_at) as at from records");
  return rows[0]!.at.getTime();
}

/** Makes `records` with the keys and indexes of the mesh's. */
export async function createTable(postgresUrl: string): Promise<void> {
  const client = new Client(postgresUrl);
  await client.connect();
  try {
    await client.query(`
      create table records (
        tenant_id text collate "C" not null, source_type text collate "C" not null,
        source_id text collate "C" not null, data_id text collate "C" not null,
        uuid uuid not null, data text not null, metadata jsonb not null, metadata_type text not null,
        lang text not null, attributes jsonb not null, created_at timestamptz, updated_at timestamptz,
        stored_at timestamptz not null default now(),
        primary key (tenant_id, source_type, source_id, data_id),
        unique (tenant_id, uuid)
      )`);
  } finally {
    await client.end();
  }
}
