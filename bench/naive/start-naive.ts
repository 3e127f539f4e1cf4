import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { jetstreamManager, RetentionPolicy } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { startPlainServers } from "../plain-servers.ts";
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
 * as a row of its own, on `plain-servers.ts`. There are no books, no tenants, no dead letters, and dedup forgets when it ends.
 */
export async function startNaive(dataDir: string, signal: AbortSignal): Promise<NaiveMesh> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const stopOne of stops.toReversed()) await stopOne();
  };
  try {
    const servers = await startPlainServers(dataDir, signal);
    stops.push(servers.stop);
    await createStreams(servers.natsUrl);
    const env = { ...process.env, NATS_URL: servers.natsUrl, POSTGRES_URL: servers.postgresUrl };
    const pids: Record<string, number> = { ...servers.pids };
    let grpc = "";
    for (const [name, file] of Object.entries(STAGES)) {
      const { child, port } = await startStage(join(import.meta.dirname, file), env);
      stops.push(() => endStage(child));
      pids[name] = child.pid!;
      if (port !== undefined) grpc = `127.0.0.1:${port}`;
    }
    return { grpc, postgresUrl: servers.postgresUrl, pids, stop };
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
