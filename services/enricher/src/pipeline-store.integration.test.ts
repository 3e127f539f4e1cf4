import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type NatsServer, startNatsServer } from "@chowhound/local/nats-server";
import { CallError } from "@chowhound/shared/errors/call-error";
import { ServiceStatus } from "@chowhound/shared/runtime/service-status";
import { freshPrefix } from "@chowhound/shared/testing/test-servers";
import { jetstreamManager, RetentionPolicy } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, inject, test, vi } from "vitest";
import type { PipelineSpec } from "./pipeline.ts";
import { definitionOf } from "./pipeline-for-test.ts";
import { parsePipeline } from "./pipeline-parse.ts";
import { selectPipeline } from "./pipeline-set.ts";
import { PipelineStore } from "./pipeline-store.ts";
import { pipelineKey } from "./stored-pipeline.ts";

const WAIT = { timeout: 15_000, interval: 20 };

let nc: NatsConnection;
let bucket: string;
let stops: (() => Promise<void>)[];

beforeEach(async () => {
  nc = await connect({ servers: new URL(inject("natsUrl")).host });
  bucket = `${freshPrefix()}-pipelines`;
  stops = [];
});

afterEach(async () => {
  for (const stop of stops) await stop();
  const jsm = await jetstreamManager(nc);
  await jsm.streams.delete(`KV_${bucket}`).catch(() => {});
  await nc.close();
});

/** A replica's store on a connection of its own; `started` resolves when it has loaded. */
async function openStore(url = inject("natsUrl")) {
  const connection = await connect({
    servers: new URL(url).host,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  const stopping = new AbortController();
  const status = new ServiceStatus();
  const store = new PipelineStore({
    bucket,
    replicas: 1,
    dependency: status.dependency("pipelines"),
    log: pino({ level: "silent" }),
    signal: stopping.signal,
    onChange() {},
  });
  const started = store.start(connection);
  started.catch(() => {});
  stops.push(async () => {
    stopping.abort();
    await store.close();
    await connection.close();
  });
  return { store, status, started, connection };
}

async function startStore(url?: string) {
  const opened = await openStore(url);
  await opened.started;
  return opened;
}

function specOf(definition: string): PipelineSpec {
  const parsed = parsePipeline(definition);
  if ("problems" in parsed) throw new Error(JSON.stringify(parsed.problems));
  return parsed.pipeline;
}

function apply(store: PipelineStore, steps: string, scope?: { tenant?: string; sourceType?: string }) {
  const definition = definitionOf(steps, scope);
  return store.apply(specOf(definition), definition);
}

/** A stream in the bucket's place; a work queue can't be watched. */
async function makeUnwatchableBucket(): Promise<void> {
  const jsm = await jetstreamManager(nc);
  const retention = RetentionPolicy.Workqueue;
  await jsm.streams.add({ name: `KV_${bucket}`, subjects: [`$KV.${bucket}.>`], retention });
}

const versionInForce = ({ inForce }: PipelineStore, tenant = "acme", sourceType = "forum") =>
  inForce === undefined ? undefined : selectPipeline(inForce, tenant, sourceType).version;

const toGerman = "- set: { values: { lang: de } }";

test("begins empty; what is applied is in force at once, and at every replica soon", async () => {
  const [one, two] = [await startStore(), await startStore()];
  expect(one.store.list()).toEqual([]);
  expect(one.status.waitingFor).toEqual([]);
  const applied = await apply(one.store, toGerman);
  expect(versionInForce(one.store)).toBe(applied.version);
  await vi.waitFor(() => expect(versionInForce(two.store)).toBe(applied.version), WAIT);
  expect(two.store.get("acme", "forum")).toEqual(applied);
  const three = await startStore();
  expect(three.store.list()).toEqual([applied]);
});

test("which state is in force is the same at every replica, and another one with each change", async () => {
  const [one, two] = [await startStore(), await startStore()];
  const seen = [one.store.state];
  const changed = async (): Promise<void> => {
    seen.push(one.store.state);
    await vi.waitFor(() => expect(two.store.state).toEqual(one.store.state), WAIT);
  };
  await apply(one.store, toGerman);
  await changed();
  await apply(two.store, `${toGerman}\n${toGerman}`);
  await vi.waitFor(() => expect(one.store.state).toEqual(two.store.state), WAIT);
  await changed();
  const kv = await new Kvm(nc).open(bucket);
  await kv.delete(pipelineKey("acme", "forum"));
  await vi.waitFor(() => expect(versionInForce(one.store)).toBe(0n), WAIT);
  await changed();
  expect(seen.map((state) => state?.revision)).toEqual([0n, 1n, 2n, 3n]);
  const three = await startStore();
  expect(three.store.state).toEqual(one.store.state);
  expect((await kv.status()).streamInfo.state.last_seq).toBe(3);
});

test("loads many, of all scopes, and lists them in order", async () => {
  const { store } = await startStore();
  const tenants = ["*", ..."zyxwv"];
  const sourceTypes = ["*", "a.b", "größe >", ..."cde"];
  const scopes = tenants.flatMap((tenant) => sourceTypes.map((sourceType) => ({ tenant, sourceType })));
  for (const scope of scopes) await apply(store, toGerman, scope);
  const { store: other } = await startStore();
  expect(other.list()).toEqual(store.list());
  const names = other.list().map(({ tenantId, sourceType }) => [tenantId, sourceType]);
  expect(names).toEqual(
    [...tenants].sort().flatMap((tenant) => [...sourceTypes].sort().map((type) => [tenant, type])),
  );
});

test("versions grow over all pipelines, also when the clock is behind", async () => {
  const { store } = await startStore();
  const before = BigInt(Date.now());
  const versions: bigint[] = [];
  for (const sourceType of ["a", "b", "a", "c"])
    versions.push((await apply(store, toGerman, { sourceType })).version);
  expect(versions.every((version, n) => version > (versions[n - 1] ?? before - 1n))).toBe(true);
  vi.spyOn(Date, "now").mockReturnValueOnce(1_000);
  const late = await apply(store, toGerman, { sourceType: "d" });
  expect(late.version).toBe(versions.at(-1)! + 1n);
});

test("of two changes at once one is refused, and nothing of it stays", async () => {
  const { store } = await startStore();
  for (const round of ["new", "known"]) {
    const results = await Promise.allSettled([
      apply(store, toGerman),
      apply(store, `${toGerman}\n${toGerman}`),
    ]);
    const refused = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    expect(refused, round).toEqual([expect.objectContaining({ reason: "pipeline_changed" })]);
    const [won] = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(store.get("acme", "forum")).toEqual(won);
  }
});

test("a pipeline that someone deletes is in force no more, and can be applied anew", async () => {
  const { store } = await startStore();
  const first = await apply(store, toGerman);
  await (await new Kvm(nc).open(bucket)).delete(pipelineKey("acme", "forum"));
  await vi.waitFor(() => expect(versionInForce(store)).toBe(0n), WAIT);
  expect(() => store.get("acme", "forum")).toThrow(expect.objectContaining({ reason: "pipeline_not_found" }));
  const { store: other } = await startStore();
  expect(other.list()).toEqual([]);
  const second = await apply(store, toGerman);
  expect(second.version).toBeGreaterThan(first.version);
  await vi.waitFor(() => expect(versionInForce(other)).toBe(second.version), WAIT);
});

test("nothing is in force while one can't be run, until it is mended", async () => {
  const { store, status } = await startStore();
  await apply(store, toGerman);
  const kv = await new Kvm(nc).open(bucket);
  await kv.put(pipelineKey("other", "forum"), Buffer.from("junk"));
  await vi.waitFor(() => expect(store.inForce).toBeUndefined(), WAIT);
  expect(status.waitingFor.join()).toMatch(/^pipelines: the entry .* is not an encoded pipeline/);
  const late = await startStore();
  expect(late.store.inForce).toBeUndefined();
  expect(late.store.list()).toHaveLength(1);
  await apply(late.store, toGerman, { tenant: "other" });
  expect(late.status.waitingFor).toEqual([]);
  await vi.waitFor(() => expect(store.inForce).toBeDefined(), WAIT);
  expect(status.waitingFor).toEqual([]);
});

test("before anything is loaded it answers that, and goes on trying", async () => {
  await makeUnwatchableBucket();
  const { store, status, started } = await openStore();
  await vi.waitFor(() => expect(status.waitingFor.join()).toMatch(/^pipelines: not loaded: /), WAIT);
  expect(store.inForce).toBeUndefined();
  expect(() => store.list()).toThrow(CallError);
  await expect(apply(store, toGerman)).rejects.toMatchObject({ reason: "not_ready" });
  await (await jetstreamManager(nc)).streams.delete(`KV_${bucket}`);
  await started;
  expect(store.list()).toEqual([]);
});

test("stops while it still waits", async () => {
  await makeUnwatchableBucket();
  const { status, started } = await openStore();
  await vi.waitFor(() => expect(status.waitingFor.join()).toMatch(/not loaded: /), WAIT);
  await stops.pop()!();
  await expect(started).rejects.toThrow("stopped before the pipelines were loaded");
});

describe("with a server of its own", () => {
  let directory: string;
  let server: NatsServer;

  const start = (port: number) =>
    startNatsServer({
      binary: { path: inject("natsBinary"), version: inject("natsVersion") },
      dataDir: directory,
      port,
      syncAlways: true,
      log: () => {},
    });

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "enricher-"));
    server = await start(0);
  });

  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
    await server.stop();
    await rm(directory, { recursive: true });
  });

  async function restart(): Promise<void> {
    server.kill("SIGKILL");
    await server.exited;
    server = await start(server.port);
  }

  test("follows changes also after a crash of the server", async () => {
    const [one, two] = [await startStore(server.url), await startStore(server.url)];
    const first = await apply(one.store, toGerman);
    await restart();
    await vi.waitFor(() => one.connection.rtt(), WAIT);
    const second = await vi.waitFor(() => apply(one.store, `${toGerman}\n${toGerman}`), WAIT);
    expect(second.version).toBeGreaterThan(first.version);
    await vi.waitFor(() => expect(versionInForce(two.store)).toBe(second.version), WAIT);
  });

  test("after a reconnect it takes what the watch has missed", async () => {
    const { store, connection } = await startStore(server.url);
    const first = await apply(store, toGerman);
    const changer = await startStore(server.url);
    // A server that comes back may have lost the consumers behind the watches.
    const jsm = await jetstreamManager(changer.connection);
    const stream = `KV_${bucket}`;
    for await (const { name } of jsm.consumers.list(stream)) await jsm.consumers.delete(stream, name);
    const second = await apply(changer.store, `${toGerman}\n${toGerman}`);
    await sleep(200);
    expect(versionInForce(store)).toBe(first.version);
    await connection.reconnect();
    await vi.waitFor(() => expect(versionInForce(store)).toBe(second.version), WAIT);
  });

  test("a bucket that was made anew doesn't read as no pipelines", async () => {
    const { store, connection } = await startStore(server.url);
    const { version } = await apply(store, toGerman);
    const own = await connect({ servers: new URL(server.url).host });
    const jsm = await jetstreamManager(own);
    await jsm.streams.delete(`KV_${bucket}`);
    await new Kvm(own).create(bucket);
    await own.close();
    await connection.reconnect();
    await sleep(500);
    expect(versionInForce(store)).toBe(version);
    const { store: restarted } = await startStore(server.url);
    expect(restarted.list()).toEqual([]);
  });
});
