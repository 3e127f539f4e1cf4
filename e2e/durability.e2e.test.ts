import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { type Mesh, startMesh } from "@chowhound/local/mesh";
import { removePostgresData } from "@chowhound/local/postgres";
import { AdminService, type Durability } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import {
  DurabilityLevel,
  IngestionService,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it, vi } from "vitest";

let dataDir: string | undefined;
let mesh: Mesh;

async function durabilityOf(service: string): Promise<Durability | undefined> {
  const client = createGrpcClient(AdminService, mesh.endpoints.admin[service]!);
  try {
    return (await client.calls.getStatus({})).durability;
  } finally {
    client.close();
  }
}

/** What a receipt says. */
async function receiptDurability(): Promise<DurabilityLevel> {
  const { grpc, key } = mesh.endpoints;
  const client = createGrpcClient(IngestionService, grpc, { key });
  try {
    const record = create(IngestionDataSchema, {
      sourceType: "host",
      sourceId: "web-1",
      dataId: "disk",
      data: "80% full",
      updatedAt: timestampNow(),
    });
    const { receipt } = await client.calls.ingest({ records: [record] });
    expect(receipt).toMatchObject({ accepted: 1 });
    return receipt!.durability;
  } finally {
    client.close();
  }
}

async function runSql(...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: mesh.endpoints.postgresUrl });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

const SAFE = { level: DurabilityLevel.SYNCED, warnings: [] };

describe("a mesh as npm start makes it", () => {
  beforeAll(async () => {
    if (!inject("natsIsCurrent")) return;
    dataDir = await mkdtemp(join(tmpdir(), "chowhound-durability-"));
    await chmod(dataDir, 0o711);
    process.env.CHOWHOUND_NATS_SERVER = inject("natsBinary");
    // Not `durable: false` as in all other tests.
    mesh = await startMesh({ dataDir, log: () => {} });
  }, 120_000);
  beforeEach((context) =>
    context.skip(!inject("natsIsCurrent"), "nats-server 2.9 can't sync before it acknowledges"),
  );
  afterAll(async () => {
    if (dataDir === undefined) return;
    await mesh?.stop();
    await removePostgresData(join(dataDir, "postgres"));
    await rm(dataDir, { recursive: true, maxRetries: 10 });
  }, 60_000);

  it("loses nothing in a power failure: status and receipts say so", async () => {
    const gateway = await durabilityOf("gateway");
    expect(gateway).toMatchObject({ accept: SAFE, commit: SAFE, receipt: DurabilityLevel.SYNCED });
    const store = await durabilityOf("store");
    expect(store!.accept).toBeUndefined();
    expect(store!.commit).toMatchObject({
      ...SAFE,
      settings: { fsync: "on", synchronous_commit: "on", full_page_writes: "on" },
    });
    for (const service of ["enricher", "dedup"]) expect(await durabilityOf(service)).toBeUndefined();
    expect(await receiptDurability()).toBe(DurabilityLevel.SYNCED);
  });

  it("tells when PostgreSQL is changed under it: a receipt is worth no more than the commit to come", async () => {
    await runSql("alter system set synchronous_commit = off", "select pg_reload_conf()");
    const unsafe = {
      level: DurabilityLevel.MEMORY,
      warnings: [expect.stringContaining("synchronous_commit=off")],
      settings: { synchronous_commit: "off" },
    };
    await vi.waitFor(async () => expect((await durabilityOf("store"))!.commit).toMatchObject(unsafe), 10_000);
    expect(await durabilityOf("gateway")).toMatchObject({
      accept: SAFE,
      commit: unsafe,
      receipt: DurabilityLevel.MEMORY,
    });
    expect(await receiptDurability()).toBe(DurabilityLevel.MEMORY);
    await runSql("alter system reset synchronous_commit", "select pg_reload_conf()");
    await vi.waitFor(async () => expect((await durabilityOf("gateway"))!.commit).toMatchObject(SAFE), 10_000);
    expect(await receiptDurability()).toBe(DurabilityLevel.SYNCED);
  });
});
