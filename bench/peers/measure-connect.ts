import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toJsonString } from "@bufbuild/protobuf";
import { findFreePort } from "@chowhound/local/free-port";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { jetstream, RetentionPolicy } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Client } from "pg";
import { watchCpu, watchOwnCpu } from "../cpu-watch.ts";
import { openDataDir } from "../data-dir.ts";
import { CALL_RECORDS, recordsOf } from "../generate-records.ts";
import { BrokenBooksError, type Measurement, WITHOUT_BOOKS } from "../measurement.ts";
import { countRows, lastStoredMs, startPlainServers, untilRows } from "../plain-servers.ts";
import type { ConnectProgram } from "./find-connect.ts";

/** What a message holds, and whether it comes through a door of the program's own. */
export type PeerForm = "records" | "archives" | "door";

const SUBJECT = "peer.records";
const IN_FLIGHT = { records: 1_000, archives: 16, door: 16 };
const CONFIGURATION = { records: "records.yaml", archives: "archives.yaml", door: "archives.yaml" };
const PUBLISH_TIMEOUT_MS = 60_000;
const DOOR_TIMEOUT_MS = 10_000;
const WARM_UP_RECORDS = 20_000;
const FIRST = 10_000_000;

/**
 * Lands new records by way of Redpanda Connect, from the first publish until the transaction of the last row. Without a door the load
 * generator publishes to JetStream itself, which spares the peer what the gateway costs; with one, it posts to a second
 * process of the same program.
 */
export async function measureConnect(
  program: ConnectProgram,
  { form, records, signal }: { form: PeerForm; records: number; signal: AbortSignal },
): Promise<Measurement> {
  await using dataDir = await openDataDir();
  const servers = await startPlainServers(dataDir.path, signal);
  const nc = await connect({ servers: servers.natsUrl });
  const js = jetstream(nc, { timeout: PUBLISH_TIMEOUT_MS });
  const jsm = await js.jetstreamManager();
  await jsm.streams.add({ name: "records", subjects: [SUBJECT], retention: RetentionPolicy.Workqueue });
  const { natsUrl, postgresUrl } = servers;
  const peer = start(program, CONFIGURATION[form], { NATS_URL: natsUrl, POSTGRES_URL: postgresUrl });
  const client = new Client(postgresUrl);
  let door: Door | undefined;
  try {
    await client.connect();
    if (form === "door") door = await openDoor(program, natsUrl);
    const publish = door?.post ?? (async (message: Uint8Array) => void (await js.publish(SUBJECT, message)));
    const land = async (messages: readonly Uint8Array[], count: number): Promise<void> => {
      const rows = (await countRows(client)) + count;
      await publishAll(publish, messages, IN_FLIGHT[form]);
      await untilRows(client, rows, signal);
      if (peer.child.exitCode !== null) throw new BrokenBooksError(`${program.path} ended`);
    };
    await land(encodeMessages(form, { first: 0, count: WARM_UP_RECORDS }), WARM_UP_RECORDS);
    const messages = encodeMessages(form, { first: FIRST, count: records });
    await client.query("checkpoint");
    const ownCpuUs = watchOwnCpu();
    const cpu = watchCpu({
      ...servers.pids,
      connect: peer.child.pid,
      ...(door && { door: door.child.pid }),
    });
    const startedMs = Date.now();
    await land(messages, records);
    const { cpuUs, ...machine } = cpu();
    const elapsedMs = (await lastStoredMs(client)) - startedMs;
    return {
      ...WITHOUT_BOOKS,
      records,
      elapsedMs,
      cpuUs: cpuUs && { producer: ownCpuUs(), ...cpuUs },
      ...machine,
    };
  } finally {
    await Promise.all([door?.stop(), peer.stop()]);
    await client.end();
    await nc.close();
    await servers.stop();
  }
}

interface Running {
  child: ChildProcess;
  stop(): Promise<void>;
}

function start(program: ConnectProgram, file: string, settings: Record<string, string>): Running {
  const child = spawn(program.path, ["run", join(import.meta.dirname, file)], {
    env: { ...process.env, ...settings, GOMAXPROCS: "2" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(child, "exit");
  return {
    child,
    stop: async () => {
      child.kill();
      await ended;
    },
  };
}

interface Door extends Running {
  post(message: Uint8Array): Promise<void>;
}

/** A process of the program that takes messages by HTTP, and answers when JetStream has acknowledged them. */
async function openDoor(program: ConnectProgram, natsUrl: string): Promise<Door> {
  const address = `127.0.0.1:${await findFreePort()}`;
  const running = start(program, "door.yaml", { NATS_URL: natsUrl, DOOR_ADDRESS: address });
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT.door });
  const post = (message: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      const headers = { "content-type": "text/plain", "content-length": message.length };
      const call = request(`http://${address}/records`, { agent, method: "POST", headers });
      call.on("error", reject);
      call.on("response", (response) => {
        response.resume().on("error", reject);
        response.on("end", () => {
          if (response.statusCode === 200) resolve();
          else reject(new Error(`the peer's door answered with ${response.statusCode}`));
        });
      });
      call.end(message);
    });
  const deadlineMs = performance.now() + DOOR_TIMEOUT_MS;
  // It has no health of its own; it answers a GET with 405 as soon as it listens.
  while (!(await fetch(`http://${address}/records`).then(Boolean, () => false))) {
    if (performance.now() > deadlineMs) {
      await running.stop();
      throw new Error("the peer's door does not open");
    }
    await sleep(50);
  }
  return {
    child: running.child,
    post,
    stop: async () => {
      agent.destroy();
      await running.stop();
    },
  };
}

/** JSON, as anybody who uses such a program would have it: one record, or a line each. */
function encodeMessages(form: PeerForm, range: { first: number; count: number }): Uint8Array[] {
  const records = Array.from(recordsOf({ ...range, revision: 0 }), (record) =>
    toJsonString(IngestionDataSchema, create(IngestionDataSchema, record)),
  );
  if (form === "records") return records.map((json) => Buffer.from(json));
  const archives: Uint8Array[] = [];
  for (let at = 0; at < records.length; at += CALL_RECORDS)
    archives.push(Buffer.from(records.slice(at, at + CALL_RECORDS).join("\n")));
  return archives;
}

async function publishAll(
  publish: (message: Uint8Array) => Promise<void>,
  messages: readonly Uint8Array[],
  inFlight: number,
): Promise<void> {
  const waiting = messages.values();
  const work = async (): Promise<void> => {
    for (const message of waiting) await publish(message);
  };
  await Promise.all(Array.from({ length: inFlight }, work));
}
