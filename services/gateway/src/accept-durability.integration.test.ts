import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { findFreePort } from "@chowhound/local/free-port";
import { planNatsCluster, startNatsCluster } from "@chowhound/local/nats-cluster";
import { type NatsServer, startNatsServer } from "@chowhound/local/nats-server";
import {
  type AcceptDurability,
  CommitDurabilitySchema,
  SyncPolicy,
} from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { natsNames } from "@chowhound/shared/stream/topology";
import { jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import type { GatewayConfig } from "./config.ts";
import { bearer, encodeRequest, goodRecord, grpcClient, ingest, startTestGateway } from "./test-gateway.ts";

const MIB = 1024 ** 2;
const WAIT = { timeout: 20_000, interval: 100 };
const SURVIVE = "accepted records survive a power failure";
const LOSE = "accepted records can be lost";

let directory: string | undefined;
const closers: (() => Promise<unknown>)[] = [];

beforeEach(async (context) => {
  context.skip(!inject("natsIsCurrent"), "nats-server 2.9 can't sync before it acknowledges");
  directory = await mkdtemp(join(tmpdir(), "chowhound-durability-"));
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

/** A server with a monitoring port of its own, in the test's directory. */
async function startNats(
  ports: { main?: number; monitor: number },
  syncAlways: boolean,
): Promise<NatsServer> {
  const nats = await startNatsServer({
    binary: { path: inject("natsBinary"), version: inject("natsVersion") },
    dataDir: join(directory!, "nats"),
    ...(ports.main !== undefined && { port: ports.main }),
    monitorPort: ports.monitor,
    syncAlways,
    maxFileStoreBytes: 256 * MIB,
    log: () => {},
  });
  closers.push(() => nats.stop());
  return nats;
}

/** Stands in for a store whose commits are worth so much. */
async function playStore(natsUrl: string, natsPrefix: string, level: DurabilityLevel): Promise<void> {
  const servers = natsUrl.split(",");
  const nc = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  closers.push(() => nc.close());
  const warnings = level === DurabilityLevel.SYNCED ? [] : ["commits can be lost"];
  const answer = toBinary(CommitDurabilitySchema, create(CommitDurabilitySchema, { level, warnings }));
  nc.subscribe(natsNames(natsPrefix).durability, { callback: (_, message) => void message.respond(answer) });
  await nc.flush();
}

/**
 * A gateway, what it has logged, and what it says about durability in its status and in its receipts.
 *
 * @param commit what the store says; "none": there is no store
 */
async function startGateway(
  natsUrl: string,
  overrides: Partial<GatewayConfig>,
  commit: DurabilityLevel | "none" = DurabilityLevel.SYNCED,
) {
  const logged: { message: string; warnings?: string[]; durability?: string }[] = [];
  const log = pino(
    { messageKey: "message", level: "info" },
    { write: (line: string) => void logged.push(JSON.parse(line)) },
  );
  const test = await startTestGateway(natsUrl, overrides, log);
  closers.push(() => test.stop());
  await test.started;
  if (commit !== "none") await playStore(natsUrl, test.config.natsPrefix, commit);
  // Asked for its status, it asks the store.
  await test.gateway.durability!();
  const client = grpcClient(test.grpcAddress);
  closers.push(async () => client.close());
  return {
    accept: async () => (await test.gateway.durability!()).accept as AcceptDurability,
    whole: async () => await test.gateway.durability!(),
    logged: (wanted: string) => logged.filter(({ message }) => message === wanted),
    told: () => logged.filter(({ message }) => message === SURVIVE || message === LOSE),
    receipt: (records = [goodRecord("a")]) => ingest(client, bearer(test.acmeKey), encodeRequest(records)),
    jsonReceipt: async () => {
      const response = await fetch(`${test.httpUrl}/chowhound.v1.IngestionService/Ingest`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${test.acmeKey}` },
        body: JSON.stringify({ records: [{ ...goodRecord("b"), updatedAt: new Date().toISOString() }] }),
      });
      return ((await response.json()) as { receipt: { durability?: string } }).receipt;
    },
  };
}

const monitorUrl = (port: number) => `http://127.0.0.1:${port}`;

describe("what an acknowledgement is worth", () => {
  it("is the disk with sync_interval: always, and every receipt says so", async () => {
    const monitor = await findFreePort();
    const nats = await startNats({ monitor }, true);
    const gateway = await startGateway(nats.url, { natsMonitorUrls: [monitorUrl(monitor)] });
    expect(await gateway.accept()).toMatchObject({
      level: DurabilityLevel.SYNCED,
      warnings: [],
      streams: [{ storage: "file", replicas: 1, isAsync: false }],
      servers: [{ sync: SyncPolicy.ALWAYS }],
    });
    expect((await gateway.receipt()).durability).toBe(DurabilityLevel.SYNCED);
    expect((await gateway.jsonReceipt()).durability).toBe("DURABILITY_LEVEL_SYNCED");
    const nothing = await gateway.receipt([goodRecord("a", { sourceId: "" })]);
    expect(nothing).toMatchObject({ accepted: 0, durability: DurabilityLevel.UNSPECIFIED });
    expect(gateway.told()).toMatchObject([{ message: SURVIVE, durability: "synced" }]);
  });

  it("is less with the default of NATS: warned of at the start, with the setting", async () => {
    const monitor = await findFreePort();
    const nats = await startNats({ monitor }, false);
    const gateway = await startGateway(nats.url, { natsMonitorUrls: [monitorUrl(monitor)] });
    expect(await gateway.accept()).toMatchObject({
      level: DurabilityLevel.WRITTEN,
      servers: [{ sync: SyncPolicy.PERIODIC, syncInterval: { seconds: 120n } }],
    });
    expect((await gateway.receipt()).durability).toBe(DurabilityLevel.WRITTEN);
    const [warned, ...more] = gateway.told();
    expect(warned).toMatchObject({ message: LOSE, durability: "written" });
    expect(warned!.warnings!.join()).toContain("sync_interval: always");
    expect(more).toEqual([]);
  });

  it("is not known without the monitoring, or where that doesn't answer; the remedy is named", async () => {
    const dead = monitorUrl(await findFreePort());
    const foreign = await findFreePort();
    await startNats({ monitor: foreign }, true);
    for (const [natsMonitorUrls, why] of [
      [[], "not configured"],
      [[dead], "ECONNREFUSED"],
      // It syncs always, but is not the server that has the stream.
      [[monitorUrl(foreign)], "not configured"],
    ] as const) {
      const gateway = await startGateway(inject("natsUrl"), { natsMonitorUrls });
      const { level, warnings, servers } = await gateway.accept();
      expect(level).toBe(DurabilityLevel.UNKNOWN);
      expect(servers).toMatchObject([{ sync: SyncPolicy.UNKNOWN }]);
      expect(warnings.join()).toContain(why);
      expect(warnings.join()).toContain("CHOWHOUND_NATS_MONITOR_URL");
      expect((await gateway.receipt()).durability).toBe(DurabilityLevel.UNKNOWN);
      expect(gateway.told()).toMatchObject([{ message: LOSE, durability: "unknown" }]);
    }
  });

  it("is little where the stream is in memory, whatever the server does about its disk", async () => {
    const monitor = await findFreePort();
    const nats = await startNats({ monitor }, true);
    const natsPrefix = "inmemory";
    const names = natsNames(natsPrefix);
    const nc = await connect({ servers: new URL(nats.url).host });
    await (await jetstreamManager(nc)).streams.add({
      name: names.stream("raw"),
      subjects: [names.subjects("raw")],
      retention: RetentionPolicy.Workqueue,
      storage: StorageType.Memory,
      max_bytes: 64 * MIB,
      max_msg_size: nc.info!.max_payload - 4096,
    });
    await nc.close();
    const gateway = await startGateway(nats.url, {
      natsPrefix,
      natsMonitorUrls: [monitorUrl(monitor)],
    });
    const { level, warnings } = await gateway.accept();
    expect(level).toBe(DurabilityLevel.MEMORY);
    expect(warnings).toMatchObject([expect.stringContaining(names.stream("raw"))]);
    expect((await gateway.receipt()).durability).toBe(DurabilityLevel.MEMORY);
  });

  it("is found out anew when NATS comes back with another configuration", async () => {
    const ports = { main: await findFreePort(), monitor: await findFreePort() };
    const safe = await startNats(ports, true);
    const gateway = await startGateway(safe.url, { natsMonitorUrls: [monitorUrl(ports.monitor)] });
    expect((await gateway.receipt()).durability).toBe(DurabilityLevel.SYNCED);
    await safe.stop();
    await vi.waitFor(async () => expect((await gateway.accept()).level).toBe(DurabilityLevel.UNKNOWN), WAIT);
    await startNats(ports, false);
    await vi.waitFor(
      async () => expect((await gateway.receipt()).durability).toBe(DurabilityLevel.WRITTEN),
      WAIT,
    );
    expect(gateway.told().map(({ durability }) => durability)).toEqual(["synced", "written"]);
  });

  it("is a majority of disks with three replicas, once all three servers are asked", async () => {
    const nodes = await planNatsCluster(3);
    const cluster = await startNatsCluster(nodes, {
      binary: { path: inject("natsBinary"), version: inject("natsVersion") },
      dataDir: directory!,
      maxFileStoreBytes: 256 * MIB,
      log: () => {},
    });
    closers.push(() => Promise.all(cluster.map((server) => server.stop())));
    const urls = nodes.map(({ monitorPort }) => monitorUrl(monitorPort));
    const overrides = { streamReplicas: "3", natsPrefix: "replicated" } as const;
    const natsUrl = cluster.map(({ url }) => url).join(",");

    const some = await startGateway(natsUrl, { ...overrides, natsMonitorUrls: urls.slice(0, 1) });
    const report = await some.accept();
    expect(report.level).toBe(DurabilityLevel.REPLICATED);
    expect(report.servers.map(({ server }) => server).sort()).toEqual(["nats", "nats-2", "nats-3"]);
    expect(report.warnings).toHaveLength(2);

    const all = await startGateway(natsUrl, { ...overrides, natsMonitorUrls: urls });
    expect(await all.accept()).toMatchObject({ level: DurabilityLevel.SYNCED_REPLICATED, warnings: [] });
    // One disk has the database.
    expect((await all.receipt()).durability).toBe(DurabilityLevel.SYNCED);
  });

  it("is no more in a receipt than a commit is worth, and is warned of", async () => {
    const monitor = await findFreePort();
    const nats = await startNats({ monitor }, true);
    const natsMonitorUrls = [monitorUrl(monitor)];
    const gateway = await startGateway(nats.url, { natsMonitorUrls }, DurabilityLevel.MEMORY);
    expect(await gateway.whole()).toMatchObject({
      accept: { level: DurabilityLevel.SYNCED },
      commit: { level: DurabilityLevel.MEMORY },
      receipt: DurabilityLevel.MEMORY,
    });
    expect((await gateway.receipt()).durability).toBe(DurabilityLevel.MEMORY);
    expect(gateway.logged("committed records can be lost")).toMatchObject([
      { durability: "memory", warnings: ["commits can be lost"] },
    ]);
  });

  it("is not known in a receipt before a store has answered, and stays known while it is away", async () => {
    const monitor = await findFreePort();
    const nats = await startNats({ monitor }, true);
    const natsMonitorUrls = [monitorUrl(monitor)];
    const natsPrefix = "alone";
    const gateway = await startGateway(nats.url, { natsMonitorUrls, natsPrefix }, "none");
    expect(await gateway.whole()).toMatchObject({
      accept: { level: DurabilityLevel.SYNCED },
      commit: {
        level: DurabilityLevel.UNKNOWN,
        warnings: [expect.stringContaining("no store answers")],
      },
    });
    expect((await gateway.receipt()).durability).toBe(DurabilityLevel.UNKNOWN);
    await playStore(nats.url, natsPrefix, DurabilityLevel.SYNCED);
    await vi.waitFor(
      async () => expect((await gateway.receipt()).durability).toBe(DurabilityLevel.SYNCED),
      WAIT,
    );
    await closers.pop()!();
    expect(await gateway.whole()).toMatchObject({
      commit: { level: DurabilityLevel.UNKNOWN },
      receipt: DurabilityLevel.SYNCED,
    });
  });
});
