import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { auditBooks, auditMesh } from "@chowhound/local/audit";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { AdminService, LogLevel, ServiceState } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { AuditService } from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { IngestionService, RecordOutcome } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type MeshUnderTest, note, type RecordInit, startMeshUnderTest } from "./mesh-under-test.ts";

const WAIT = { timeout: 15_000, interval: 50 };
let mesh: MeshUnderTest;
/** All that any door has accepted. */
let accepted = 0;
beforeAll(async () => {
  mesh = await startMeshUnderTest();
}, 120_000);
afterAll(() => mesh.remove());

const bearer = (): Record<string, string> => ({ authorization: `Bearer ${mesh.endpoints.key}` });
const admin = (service: string) => createGrpcClient(AdminService, mesh.endpoints.admin[service]!);

async function rowsOf(source: string): Promise<Record<string, string>> {
  await mesh.untilDrained();
  const rows = await mesh.books.query<{ data_id: string; data: string }>(
    "select data_id, data from records where source_id = $1 order by data_id",
    [source],
  );
  return Object.fromEntries(rows.map(({ data_id, data }) => [data_id, data]));
}

async function push(records: readonly RecordInit[]): Promise<void> {
  accepted += (await mesh.ingest(records)).accepted;
}

describe("the mesh", () => {
  it("lands what comes over gRPC, Connect, gRPC-Web, JSON and buf curl in the same table", async () => {
    const { grpc, http } = mesh.endpoints;
    const from = (door: string): RecordInit => note(door, `over ${door}`, 1, { sourceId: "doors" });
    await push([from("grpc-js")]);
    const transports = {
      "connect-grpc": createGrpcTransport({ baseUrl: `http://${grpc}` }),
      connect: createConnectTransport({ baseUrl: http, httpVersion: "1.1" }),
      "connect-json": createConnectTransport({ baseUrl: http, httpVersion: "1.1", useBinaryFormat: false }),
      "grpc-web": createGrpcWebTransport({ baseUrl: http, httpVersion: "1.1" }),
    };
    for (const [door, transport] of Object.entries(transports)) {
      const { receipt } = await createClient(IngestionService, transport).ingest(
        { records: [from(door)] },
        { headers: bearer() },
      );
      expect(receipt).toMatchObject({ accepted: 1, rejected: 0 });
      accepted += 1;
    }
    const json = {
      records: [
        {
          sourceType: "note",
          sourceId: "doors",
          dataId: "fetch",
          data: "over fetch",
          updatedAt: "2026-01-01T00:00:01Z",
          metadata: { a: [1, { b: null }] },
        },
      ],
    };
    const response = await fetch(`${http}/chowhound.v1.IngestionService/Ingest`, {
      method: "POST",
      headers: { ...bearer(), "content-type": "application/json" },
      body: JSON.stringify(json),
    });
    expect(await response.json()).toMatchObject({
      receipt: { accepted: 1, statuses: [{ outcome: "RECORD_OUTCOME_ACCEPTED" }] },
    });
    json.records[0]!.dataId = "buf-curl";
    const { stdout } = await promisify(execFile)("buf", [
      "curl",
      "--protocol=grpc",
      "--http2-prior-knowledge",
      `--header=authorization: Bearer ${mesh.endpoints.key}`,
      `--data=${JSON.stringify(json)}`,
      `http://${grpc}/chowhound.v1.IngestionService/Ingest`,
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ receipt: { accepted: 1 } });
    accepted += 2;
    expect(Object.keys(await rowsOf("doors")).sort()).toEqual(
      ["buf-curl", "connect", "connect-grpc", "connect-json", "fetch", "grpc-js", "grpc-web"].sort(),
    );
  });

  it("answers the batches of a stream in their order, each within the mesh", async () => {
    const client = createClient(
      IngestionService,
      createGrpcTransport({ baseUrl: `http://${mesh.endpoints.grpc}` }),
    );
    async function* batches() {
      for (let i = 1; i <= 50; i++) {
        yield {
          batchNumber: BigInt(i),
          records: Array.from({ length: 20 }, (_, k) =>
            note(`${i}/${k}`, "streamed", 1, { sourceId: "stream" }),
          ),
        };
      }
    }
    const numbers: number[] = [];
    for await (const { batchNumber, receipt } of client.ingestStream(batches(), { headers: bearer() })) {
      numbers.push(Number(batchNumber));
      expect(receipt?.accepted).toBe(20);
      accepted += 20;
    }
    expect(numbers).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    expect(Object.keys(await rowsOf("stream"))).toHaveLength(1000);
  });

  it("INV-3, INV-4: lands retries, changes and late arrivals as one newest row per key", async () => {
    const version = (second: number) =>
      Array.from({ length: 50 }, (_, i) =>
        note(`k${i}`, `version ${second}`, second, { sourceId: "versions" }),
      );
    await push(version(2));
    await push(version(2));
    await push(version(3));
    await push(version(1));
    await push(version(2));
    const rows = await rowsOf("versions");
    expect(Object.keys(rows)).toHaveLength(50);
    expect(new Set(Object.values(rows))).toEqual(new Set(["version 3"]));
  });

  it("spares the database a load that is sent again", async () => {
    const load = Array.from({ length: 500 }, (_, i) =>
      note(`r${i}`, "again and again", 1, { sourceId: "resent" }),
    );
    await push(load);
    await mesh.untilDrained();
    const dropped = async () =>
      (await mesh.counter("gateway", "chowhound.recall.dropped")) +
      (await mesh.counter("dedup", "chowhound.dedup.dropped"));
    const droppedBefore = await dropped();
    const statementsBefore = await mesh.books.query<{ xid: string }>(
      "select xmin::text as xid from records where source_id = 'resent' limit 1",
    );
    for (let i = 0; i < 3; i++) await push(load);
    await mesh.untilDrained();
    expect((await dropped()) - droppedBefore).toBe(1500);
    const [totals] = await mesh.books.query(
      "select sum(stored)::int as stored, sum(duplicate)::int as duplicate, sum(unchanged)::int as unchanged from totals where source_id = 'resent'",
    );
    expect(totals).toEqual({ stored: 500, duplicate: 1500, unchanged: 0 });
    expect(
      await mesh.books.query("select xmin::text as xid from records where source_id = 'resent' limit 1"),
    ).toEqual(statementsBefore);
  });

  it("does not drop what a restored database has lost", async () => {
    const load = Array.from({ length: 100 }, (_, i) =>
      note(`x${i}`, "precious", 1, { sourceId: "restored" }),
    );
    await push(load);
    await mesh.untilDrained();
    // As a restore would: the rows and their invoices are gone, and the table is another one.
    await mesh.books.query("create table records_before (like records including all)");
    await mesh.books.query("insert into records_before select * from records where source_id <> 'restored'");
    const [lost] = await mesh.books.query<{ n: number }>(
      "select coalesce(sum(accepted), 0)::int as n from invoices i where exists (select from records r where r.batch_id = i.batch_id and r.source_id = 'restored')",
    );
    await mesh.books.query(
      "delete from invoices i where exists (select from records r where r.batch_id = i.batch_id and r.source_id = 'restored')",
    );
    await mesh.books.query("delete from totals where source_id = 'restored'");
    accepted -= lost!.n;
    await mesh.books.query("truncate records");
    await mesh.books.query("insert into records select * from records_before");
    await mesh.books.query("drop table records_before");
    await push(load);
    expect(Object.keys(await rowsOf("restored"))).toHaveLength(100);
    // The audit names the numbers of what was lost; all of it was sent again.
    const { findings } = await auditMesh(mesh.endpoints.admin.store!);
    expect(new Set(findings.map(({ reason }) => reason))).toEqual(new Set(["number_missing"]));
    const auditor = createGrpcClient(AuditService, mesh.endpoints.admin.store!);
    for (const { epoch, firstNumber, lastNumber } of findings) {
      const by = { note: "sent again", writtenOffBy: "a test" };
      await auditor.calls.writeOff({ epoch, firstNumber, lastNumber, ...by });
    }
    auditor.close();
  });

  it("puts a pipeline in force at run time, and notes its version on each record", async () => {
    const pipelines = createGrpcClient(PipelineService, mesh.endpoints.admin.enricher!);
    const records = (suffix: string) => [
      {
        ...note(`good${suffix}`, "This is an English sentence about the weather, written for a test.", 1, {
          sourceId: "piped",
          sourceType: "article",
        }),
        metadata: { title: "weather" },
      },
      note(`bad${suffix}`, "no title", 1, { sourceId: "piped", sourceType: "article" }),
    ];
    await push(records("-before"));
    await mesh.untilDrained();
    const definition = `
tenant: "*"
source_type: article
steps:
  - require: { fields: [metadata.title] }
  - map: { attributes.shout: 'metadata.title + "!"' }
  - detect_language: {}
`;
    await expect(
      pipelines.calls.applyPipeline({ definition: "tenant: x\nsteps: [ { nonsense: {} } ]" }),
    ).rejects.toMatchObject({ code: 3 });
    const { pipeline } = await pipelines.calls.applyPipeline({ definition });
    await push(records("-after"));
    await mesh.untilDrained();
    const rows = await mesh.books.query(
      "select data_id, lang, attributes, pipeline_version::text as version from records where source_id = 'piped' order by data_id",
    );
    expect(rows).toEqual([
      { data_id: "bad-before", lang: "", attributes: {}, version: "0" },
      {
        data_id: "good-after",
        lang: "en",
        attributes: { shout: "weather!" },
        version: String(pipeline!.version),
      },
      { data_id: "good-before", lang: "", attributes: {}, version: "0" },
    ]);
    const dead = await mesh.books.query(
      "select stage, reason, data_id from dead_letters where source_id = 'piped'",
    );
    expect(dead).toEqual([{ stage: "enricher", reason: "required_field_missing", data_id: "bad-after" }]);
    pipelines.close();
  });

  it("INV-5: rejects bad records one by one and dead-letters what no pipeline can place", async () => {
    const good = note("good", "fine", 1, { sourceId: "mixed" });
    const receipt = await mesh.ingest([
      good,
      { ...good, sourceType: "" },
      { ...good, dataId: "x".repeat(2000) },
      { ...good, uuid: "not-a-uuid" },
      { ...good, tenantId: "somebody-else" },
      { ...good, dataId: "" },
    ]);
    accepted += receipt.accepted;
    expect(
      receipt.statuses.map(({ outcome, reason, field }) => [
        outcome === RecordOutcome.ACCEPTED,
        reason,
        field,
      ]),
    ).toEqual([
      [true, "", ""],
      [false, "missing_field", "source_type"],
      [false, "field_too_long", "data_id"],
      [false, "invalid_uuid", "uuid"],
      [false, "tenant_mismatch", "tenant_id"],
      [true, "", ""],
    ]);
    expect(await rowsOf("mixed")).toEqual({ good: "fine" });
    expect(await mesh.books.query("select reason from dead_letters where source_id = 'mixed'")).toEqual([
      { reason: "identity_missing" },
    ]);
  });

  it("pauses, resumes and reports on every admin port", async () => {
    for (const service of ["gateway", "enricher", "dedup", "store"]) {
      const client = admin(service);
      const status = await client.calls.getStatus({});
      expect(status).toMatchObject({
        service,
        state: ServiceState.RUNNING,
        waitingFor: [],
        logLevel: LogLevel.INFO,
      });
      expect(Number(status.throughput?.records)).toBeGreaterThan(0);
      expect((await client.calls.setLogLevel({ level: LogLevel.DEBUG })).previousLevel).toBe(LogLevel.INFO);
      expect((await client.calls.getStatus({})).logLevel).toBe(LogLevel.DEBUG);
      await client.calls.setLogLevel({ level: LogLevel.INFO });
      client.close();
    }
    const store = admin("store");
    await store.calls.pause({});
    await sleep(1_200);
    await push([note("p", "paused", 1, { sourceId: "paused" })]);
    await vi.waitFor(
      async () => expect((await store.calls.getStatus({})).lag[0]?.pendingBatches).toBe(1n),
      WAIT,
    );
    expect((await store.calls.getStatus({})).state).toBe(ServiceState.PAUSED);
    await store.calls.resume({});
    expect(await rowsOf("paused")).toEqual({ p: "paused" });
    store.close();
  });

  it("drains at the Drain call and ends with code 0", async () => {
    const dedup = mesh.process("dedup");
    const client = admin("dedup");
    const ended = dedup.exited();
    expect((await client.calls.drain({})).state).toBe(ServiceState.DRAINING);
    await ended;
    client.close();
    await dedup.restart();
    await push([note("d", "after the drain", 1, { sourceId: "drained" })]);
    expect(await rowsOf("drained")).toEqual({ d: "after the drain" });
  });

  it("INV-1: has books that close", async () => {
    await mesh.untilDrained();
    expect(await auditBooks(mesh.endpoints.admin.store!, accepted)).toEqual([]);
  });
});
