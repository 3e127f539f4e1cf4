import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { startNatsServer } from "@chowhound/local/nats-server";
import { findNatsServer } from "@chowhound/local/nats-server-binary";
import { startPostgres } from "@chowhound/local/postgres";
import { jetstreamManager, RetentionPolicy } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Client } from "pg";
import { NAIVE_STREAMS } from "./serve-stage.ts";

/** The stages by the names of what they stand for. */
const STAGES = { store: "store.ts", dedup: "dedup.ts", enricher: "enricher.ts", gateway: "door.ts" };

/** A mesh built the obvious way. */
export interface NaiveMesh {
  grpc: string;
  postgresUrl: string;
  pids: Record<string, number>;
  stop(): Promise<void>;
}

/**
 * Starts the reference: four processes that pass each record on as a message of its own, decoded and encoded at every hop, and insert it
 * as a row of its own, with the keys and indexes that the mesh's table has. In its favour, NATS acknowledges before the disk
 * has it, which is how it comes; there are no books, no tenants, no dead letters, and dedup forgets when it ends.
 */
export async function startNaive(dataDir: string, signal: AbortSignal): Promise<NaiveMesh> {
  const log = (): void => {};
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const stopOne of stops.toReversed()) await stopOne();
  };
  try {
    const binary = await findNatsServer({ log });
    const nats = await startNatsServer({
      binary,
      dataDir: join(dataDir, "nats"),
      syncAlways: false,
      signal,
      log,
    });
    stops.push(nats.stop);
    const postgres = await startPostgres({ dataDir: join(dataDir, "postgres"), signal, log });
    stops.push(postgres.stop);
    await Promise.all([createStreams(nats.url), createTable(postgres.url)]);
    const env = { ...process.env, NATS_URL: nats.url, POSTGRES_URL: postgres.url };
    const pids: Record<string, number> = { nats: nats.pid, postgres: postgres.pid };
    let grpc = "";
    for (const [name, file] of Object.entries(STAGES)) {
      const { child, port } = await startStage(join(import.meta.dirname, file), env);
      stops.push(() => endStage(child));
      pids[name] = child.pid!;
      if (port !== undefined) grpc = `127.0.0.1:${port}`;
    }
    return { grpc, postgresUrl: postgres.url, pids, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startStage(
  file: string,
  env: NodeJS.ProcessEnv,
): Promise<{ child: ChildProcess; port: number | undefined }> {
  const child = spawn(process.execPath, [file], { env, stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const failed = once(child, "exit").then(() => {
    throw new Error(`${file} did not start`);
  });
  const [ready] = await Promise.race([once(child, "message"), failed]);
  failed.catch(() => {});
  return { child, port: (ready as { port?: number }).port };
}

async function endStage(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.disconnect();
  await ended;
}

async function createStreams(natsUrl: string): Promise<void> {
  const nc = await connect({ servers: natsUrl });
  const jsm = await jetstreamManager(nc);
  for (const name of NAIVE_STREAMS)
    await jsm.streams.add({ name, subjects: [`naive.${name}`], retention: RetentionPolicy.Workqueue });
  await nc.close();
}

async function createTable(postgresUrl: string): Promise<void> {
  const client = new Client(postgresUrl);
  await client.connect();
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
  await client.end();
}
