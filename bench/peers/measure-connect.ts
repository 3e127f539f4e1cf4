import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { create, toJsonString } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { type JetStreamClient, jetstream, RetentionPolicy } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Client } from "pg";
import { watchCpu, watchOwnCpu } from "../cpu-watch.ts";
import { openDataDir } from "../data-dir.ts";
import { CALL_RECORDS, recordsOf } from "../generate-records.ts";
import { BrokenBooksError, type Measurement, WITHOUT_BOOKS } from "../measurement.ts";
import { countRows, startPlainServers, untilRows } from "../plain-servers.ts";
import type { ConnectProgram } from "./find-connect.ts";

export type PeerForm = "records" | "archives";

const SUBJECT = "peer.records";
const PUBLISHES_IN_FLIGHT = { records: 1_000, archives: 16 };
const PUBLISH_TIMEOUT_MS = 60_000;
const WARM_UP_RECORDS = 20_000;
const FIRST = 10_000_000;

/**
 * Lands new records by way of Redpanda Connect, from the first publish until the last row can be read. There is no door before it: the
 * load generator publishes to JetStream itself, which spares the peer what the gateway costs.
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
  const peer = spawn(program.path, ["run", join(import.meta.dirname, `${form}.yaml`)], {
    env: { ...process.env, NATS_URL: natsUrl, POSTGRES_URL: postgresUrl, GOMAXPROCS: "2" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(peer, "exit");
  const client = new Client(postgresUrl);
  try {
    await client.connect();
    const land = async (messages: readonly Uint8Array[], count: number): Promise<void> => {
      const rows = (await countRows(client)) + count;
      await publishAll(js, messages, PUBLISHES_IN_FLIGHT[form]);
      await untilRows(client, rows, signal);
      if (peer.exitCode !== null) throw new BrokenBooksError(`${program.path} ended`);
    };
    await land(encodeMessages(form, { first: 0, count: WARM_UP_RECORDS }), WARM_UP_RECORDS);
    const messages = encodeMessages(form, { first: FIRST, count: records });
    await client.query("checkpoint");
    const ownCpuUs = watchOwnCpu();
    const cpu = watchCpu({ ...servers.pids, connect: peer.pid });
    const startedMs = performance.now();
    await land(messages, records);
    const elapsedMs = performance.now() - startedMs;
    const { cpuUs, ...machine } = cpu();
    return {
      ...WITHOUT_BOOKS,
      records,
      elapsedMs,
      cpuUs: cpuUs && { producer: ownCpuUs(), ...cpuUs },
      ...machine,
    };
  } finally {
    peer.kill();
    await ended;
    await client.end();
    await nc.close();
    await servers.stop();
  }
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
  js: JetStreamClient,
  messages: readonly Uint8Array[],
  inFlight: number,
): Promise<void> {
  const waiting = messages.values();
  const work = async (): Promise<void> => {
    for (const message of waiting) await js.publish(SUBJECT, message);
  };
  await Promise.all(Array.from({ length: inFlight }, work));
}
