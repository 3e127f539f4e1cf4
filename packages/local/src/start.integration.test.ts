import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type EndpointsFile, endpointsPath } from "./endpoints-file.ts";
import { findNode } from "./node-binary.ts";
import { removePostgresData } from "./postgres.ts";
import { isRunning, processStart } from "./process-start.ts";

const anyPorts = [
  "grpc",
  "http",
  "nats",
  "postgres",
  "gateway-admin",
  "enricher-admin",
  "dedup-admin",
  "store-admin",
].map((name) => `--${name}-port=0`);

let dataDir: string;
const started: ChildProcess[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "chowhound-start-"));
  await chmod(dataDir, 0o711);
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
  await removePostgresData(join(dataDir, "postgres"));
  await rm(dataDir, { recursive: true, maxRetries: 10 });
});

interface Started {
  child: ChildProcess;
  output: () => string;
  exitCode: Promise<number | null>;
}

/** `npm start` without npm. */
function start(...flags: string[]): Started {
  const child = spawn(findNode(), [
    join(import.meta.dirname, "start.ts"),
    `--data-dir=${dataDir}`,
    ...anyPorts,
    ...flags,
  ]);
  started.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const exitCode = once(child, "close").then(([code]) => code as number | null);
  return { child, output: () => output, exitCode };
}

async function readEndpoints(): Promise<EndpointsFile> {
  return JSON.parse(await readFile(endpointsPath(dataDir), "utf8"));
}

async function until<T>(
  what: string,
  attempt: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  for (let i = 0; i < 600; i++) {
    const result = await attempt();
    if (result) return result;
    await sleep(100);
  }
  throw new Error(`waited for ${what} in vain`);
}

async function up(mesh: Started): Promise<EndpointsFile> {
  await until("the mesh", () => {
    if (mesh.child.exitCode !== null) throw new Error(mesh.output());
    return mesh.output().includes("Push a record:");
  });
  return readEndpoints();
}

async function push(endpoints: EndpointsFile, dataId: string): Promise<unknown> {
  const record = {
    sourceType: "note",
    sourceId: "test",
    dataId,
    data: "hello",
    updatedAt: new Date().toISOString(),
  };
  const response = await fetch(`${endpoints.http}/chowhound.v1.IngestionService/Ingest`, {
    method: "POST",
    headers: { authorization: `Bearer ${endpoints.key}`, "content-type": "application/json" },
    body: JSON.stringify({ records: [record] }),
  });
  return response.json();
}

async function rows(endpoints: EndpointsFile): Promise<string[]> {
  const client = new Client(endpoints.postgresUrl);
  await client.connect();
  try {
    const result = await client.query<{ data_id: string }>("select data_id from records order by data_id");
    return result.rows.map((row) => row.data_id);
  } finally {
    await client.end();
  }
}

/** What runs now of the mesh; asked again later, only what is still the same process counts. */
function noteProcesses({ pids }: EndpointsFile): () => string[] {
  const noted = Object.entries(pids).map(([name, pid]) => ({ name, pid: pid!, start: processStart(pid!) }));
  return () => noted.filter(({ pid, start }) => isRunning(pid, start)).map(({ name }) => name);
}

const timeout = 120_000;

test("starts, lands records, brings back what dies, stops, and goes on later", { timeout }, async () => {
  const mesh = start();
  const endpoints = await up(mesh);
  expect((await stat(endpointsPath(dataDir))).mode & 0o777).toBe(0o600);
  expect(endpoints).toMatchObject({ tenant: "local", pid: mesh.child.pid });
  expect(Object.keys(endpoints.pids)).toEqual(["nats", "postgres", "gateway", "enricher", "dedup", "store"]);
  expect(await push(endpoints, "1")).toMatchObject({ receipt: { accepted: 1 } });
  await until("the row", async () => (await rows(endpoints)).length === 1);

  const second = start();
  expect(await second.exitCode).toBe(1);
  expect(second.output()).toContain(
    `process ${mesh.child.pid}); how to reach it is in ${endpointsPath(dataDir)}`,
  );

  process.kill(endpoints.pids.store!, "SIGKILL");
  const pids = await until("a new store", async () => {
    const { pids } = await readEndpoints();
    return pids.store !== endpoints.pids.store && pids;
  });
  expect(mesh.output()).toContain("store has died: killed by SIGKILL");
  await push(endpoints, "2");
  await until("the row", async () => (await rows(endpoints)).length === 2);

  const running = noteProcesses({ ...endpoints, pids });
  expect(running()).toHaveLength(6);
  mesh.child.kill("SIGINT");
  expect(await mesh.exitCode).toBe(0);
  expect(running()).toEqual([]);
  expect(existsSync(endpointsPath(dataDir))).toBe(false);

  const again = await up(start());
  expect(again.key).toBe(endpoints.key);
  expect(await rows(again)).toEqual(["1", "2"]);
});

test("a taken port: one line with the flag, exit code 1, nothing left", { timeout }, async () => {
  const stranger = createServer().listen(0, "127.0.0.1");
  await once(stranger, "listening");
  const { port } = stranger.address() as AddressInfo;
  const mesh = start(`--dedup-admin-port=${port}`);
  expect(await mesh.exitCode).toBe(1);
  expect(
    mesh
      .output()
      .trim()
      .split("\n")
      .filter((line) => line.includes(String(port))),
  ).toEqual([
    `port ${port} is taken (wanted for admin port of dedup); choose another with --dedup-admin-port`,
  ]);
  for (const part of ["nats/nats-server", "postgres/postgres", "logs/gateway", "logs/store", "mesh"]) {
    expect(existsSync(join(dataDir, `${part}.pid`))).toBe(false);
  }
  stranger.close();
});

test("ends with its parent, also when that is killed outright", { timeout }, async () => {
  const mesh = start();
  const running = noteProcesses(await up(mesh));
  mesh.child.kill("SIGKILL");
  await mesh.exitCode;
  await until("the end of all", () => running().length === 0);
});

test("a second Ctrl-C does not wait for what is stuck", { timeout }, async () => {
  const mesh = start();
  const endpoints = await up(mesh);
  const running = noteProcesses(endpoints);
  process.kill(endpoints.pids.enricher!, "SIGSTOP");
  mesh.child.kill("SIGINT");
  await sleep(1_500);
  expect(running()).toContain("enricher");
  mesh.child.kill("SIGINT");
  expect(await mesh.exitCode).toBe(130);
  expect(running()).toEqual([]);
});
