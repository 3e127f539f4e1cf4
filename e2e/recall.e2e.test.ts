import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { auditBooks } from "@chowhound/local/audit";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { QueryService, RecordState } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type MeshUnderTest, note, type RecordInit, startMeshUnderTest } from "./mesh-under-test.ts";

const WAIT = { timeout: 15_000, interval: 50 };

let mesh: MeshUnderTest;
/** All that the gateway has accepted. */
let accepted = 0;
beforeAll(async () => {
  mesh = await startMeshUnderTest();
}, 120_000);
afterAll(() => mesh.remove());

const push = async (records: readonly RecordInit[]) => {
  const receipt = await mesh.ingestUntilAccepted(records);
  accepted += receipt.accepted;
  return receipt;
};

/** Sends records and waits until the gateway knows them. */
async function land(records: readonly RecordInit[]): Promise<void> {
  await push(records);
  await mesh.untilDrained();
  // The notice of the commit travels on its own.
  await sleep(300);
}

/** Sends records and says how many of them went no further than the gateway. */
async function countKnown(records: readonly RecordInit[]): Promise<number> {
  const before = await mesh.counter("gateway", "chowhound.recall.dropped");
  await push(records);
  await mesh.untilDrained();
  return (await mesh.counter("gateway", "chowhound.recall.dropped")) - before;
}

async function verdictsOf(source: string): Promise<Record<string, number>> {
  await mesh.untilDrained();
  const [totals] = await mesh.books.query<Record<string, number>>(
    `select sum(stored)::int as stored, sum(updated)::int as updated, sum(duplicate)::int as duplicate,
      sum(unchanged)::int as unchanged, sum(dead_lettered)::int as dead_lettered from totals where source_id = $1`,
    [source],
  );
  return Object.fromEntries(Object.entries(totals!).filter(([, count]) => count > 0));
}

const notes = (sourceId: string, count: number, more: RecordInit = {}): RecordInit[] =>
  Array.from({ length: count }, (_, i) => note(`n${i}`, `note ${i}`, 1, { sourceId, ...more }));

describe("what has landed and is sent again", () => {
  it("goes no further than the gateway, and is booked as duplicate", async () => {
    const records = notes("again", 300);
    await land(records);
    expect(await countKnown([...records, note("new", "x", 1, { sourceId: "again" })])).toBe(300);
    expect(await verdictsOf("again")).toEqual({ stored: 301, duplicate: 300 });
    expect(await mesh.counter("dedup", "chowhound.dedup.candidates")).toBe(0);
  });

  it("is answered and found like any other record", async () => {
    const [known, unknown] = [randomUUID(), randomUUID()];
    const record = note("known", "x", 1, { sourceId: "found", uuid: known });
    await land([record]);
    const { receiptId, statuses } = await push([
      note("other", "x", 1, { sourceId: "found", uuid: unknown }),
      record,
      ...notes("found", 1),
    ]);
    expect(statuses.map(({ uuid }) => uuid).slice(0, 2)).toEqual([unknown, known]);
    await mesh.untilDrained();
    const { calls, close } = createGrpcClient(QueryService, mesh.endpoints.grpc, { key: mesh.endpoints.key });
    const { fates } = await calls.locateRecords({ id: receiptId });
    close();
    expect(fates.map(({ uuid, state }) => [uuid, state])).toEqual([
      [unknown, RecordState.STORED],
      [known, RecordState.DUPLICATE],
      [statuses[2]!.uuid, RecordState.STORED],
    ]);
  });

  it("passes where it isn't byte for byte the same, and where it didn't land", async () => {
    const [record] = notes("nearly", 1);
    await land([record!]);
    expect(await countKnown([{ ...record, data: "other" }])).toBe(0);
    expect(await countKnown([{ ...record, uuid: randomUUID() }])).toBe(0);
    const dead = note("", "no identity", 1, { sourceId: "nearly" });
    await push([dead]);
    await mesh.untilDrained();
    expect(await countKnown([dead])).toBe(0);
    expect(await verdictsOf("nearly")).toMatchObject({ stored: 1, dead_lettered: 2 });
  });

  it("passes from the moment on in which another pipeline is in force", async () => {
    const records = notes("changed", 50, { sourceType: "changing" });
    await land(records);
    expect(await countKnown(records)).toBe(50);
    const { calls, close } = createGrpcClient(PipelineService, mesh.endpoints.admin.enricher!);
    const apply = (text: string) =>
      calls.applyPipeline({
        definition: `{ tenant: "*", source_type: changing, steps: [{ map: { data: '"${text}: " + data' } }] }`,
      });
    for (const [round, text] of ["one", "two"].entries()) {
      await apply(text);
      await push(records);
      expect(await verdictsOf("changed")).toMatchObject({ updated: 50 * (round + 1) });
    }
    close();
    await vi.waitFor(async () => expect(await countKnown(records)).toBe(50), WAIT);
    expect(
      await mesh.books.query("select data from records where source_id = 'changed' and data_id = 'n7'"),
    ).toEqual([{ data: "two: note 7" }]);
  });

  it("passes while no store answers, and holds nobody up for long", async () => {
    const records = notes("unanswered", 20);
    await land(records);
    const store = mesh.process("store");
    process.kill(store.pid!, "SIGSTOP");
    const startedMs = performance.now();
    for (let i = 0; i < 20; i++) await push(records);
    const elapsedMs = performance.now() - startedMs;
    process.kill(store.pid!, "SIGCONT");
    // One of them has waited for an answer; each would be two seconds more.
    expect(elapsedMs).toBeLessThan(2_000);
    expect(await verdictsOf("unanswered")).toMatchObject({ stored: 20 });
  });

  it("INV-1: is in the books, each record once", async () => {
    expect(await auditBooks(mesh.endpoints.admin.store!, accepted)).toEqual([]);
  });

  it("passes once the database has lost it, and lands anew", async () => {
    const records = notes("lost", 40);
    await land(records);
    // After a question without an answer it asks nobody for a second.
    await vi.waitFor(async () => expect(await countKnown(records)).toBe(40), WAIT);
    // As a restore of an older backup: the newest batches are gone, with their rows, and the table is another one.
    await mesh.books.query("create table kept (like records including all)");
    await mesh.books.query("insert into kept select * from records where source_id <> 'lost'");
    await mesh.books.query(
      "delete from invoices i where exists (select from records r where r.batch_id = i.batch_id and r.source_id = 'lost')",
    );
    await mesh.books.query("truncate records");
    await mesh.books.query("insert into records select * from kept");
    expect(await countKnown(records)).toBe(0);
    const found = await mesh.books.query("select from records where source_id = 'lost'");
    expect(found).toHaveLength(40);
  });
});
