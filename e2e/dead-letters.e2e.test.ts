import { auditBooks } from "@chowhound/local/audit";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { DeadLetterState } from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import { PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ALL, deadLettersAt } from "./dead-letter-calls.ts";
import { type MeshUnderTest, note, type RecordInit, startMeshUnderTest } from "./mesh-under-test.ts";

const WAIT = { timeout: 15_000, interval: 50 };
const CALLS = 20;
const RECORDS_PER_CALL = 10;
const TOTAL = CALLS * RECORDS_PER_CALL;
const SOURCE = { sourceType: "article", sourceId: "broken" };

let mesh: MeshUnderTest;
let letters: ReturnType<typeof deadLettersAt>;
let accepted = 0;
/** By data_id: the uuid from the receipt and when the record was accepted. */
const receipts = new Map<string, { uuid: string; acceptedAtMs: number }>();
beforeAll(async () => {
  mesh = await startMeshUnderTest({ env: { store: { CHOWHOUND_ACK_WAIT: "2s" } } });
  letters = deadLettersAt(mesh.endpoints.admin.store!);
}, 120_000);
afterAll(async () => {
  letters.close();
  await mesh.remove();
});

async function applyPipeline(steps: string): Promise<void> {
  const client = createGrpcClient(PipelineService, mesh.endpoints.admin.enricher!);
  await client.calls.applyPipeline({
    definition: `{ tenant: "*", source_type: article, steps: [${steps}] }`,
  });
  client.close();
}

async function push(records: readonly RecordInit[]): Promise<void> {
  const receipt = await mesh.ingest(records);
  accepted += receipt.accepted;
  const { seconds, nanos } = receipt.acceptedAt!;
  for (const [i, { uuid }] of receipt.statuses.entries())
    receipts.set(records[i]!.dataId!, { uuid, acceptedAtMs: Number(seconds) * 1000 + nanos / 1e6 });
}

async function expectClosedBooks(): Promise<void> {
  await mesh.untilDrained();
  expect(await auditBooks(mesh.endpoints.admin.store!, accepted)).toEqual([]);
}

const groups = async (state: DeadLetterState = DeadLetterState.OPEN) =>
  (await letters.calls.summarizeDeadLetters({ state, filter: { sourceId: SOURCE.sourceId } })).groups.map(
    ({ stage, reason, count }) => [stage, reason, Number(count)],
  );

describe("dead letters", () => {
  it("of a broken pipeline are kept whole, and can be looked at", async () => {
    await applyPipeline("{ require: { fields: [metadata.nowhere] } }");
    for (let call = 0; call < CALLS; call++)
      await push(Array.from({ length: RECORDS_PER_CALL }, (_, i) => note(`${call}/${i}`, "kept", 1, SOURCE)));
    await mesh.untilDrained();
    expect(await groups()).toEqual([["enricher", "required_field_missing", TOTAL]]);
    const ids: string[] = [];
    let pageToken = "";
    do {
      const page = await letters.calls.listDeadLetters({ pageSize: 70, pageToken });
      ids.push(...page.deadLetters.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(new Set(ids).size).toBe(TOTAL);
    const whole = await letters.calls.getDeadLetter({ id: ids[0]! });
    expect(whole.deadLetter).toMatchObject({
      state: DeadLetterState.OPEN,
      tenantId: "local",
      ...SOURCE,
      attempts: 1,
      uuid: receipts.get(whole.deadLetter!.dataId)!.uuid,
    });
    expect(whole.original).toMatchObject({ case: "record", value: { data: "kept", ...SOURCE } });
    await expectClosedBooks();
  });

  it("stay open, the same ones, when they are replayed before the pipeline is mended", async () => {
    const progress = await letters.replay(ALL);
    expect(progress.at(-1)).toMatchObject({
      matched: BigInt(TOTAL),
      published: BigInt(TOTAL),
      skipped: 0n,
      remaining: 0n,
    });
    await mesh.untilDrained();
    expect(await groups()).toEqual([["enricher", "required_field_missing", TOTAL]]);
    const [{ letters: kept, attempts } = {}] = await mesh.books.query<Record<string, number>>(
      "select count(*)::int as letters, min(attempts)::int as attempts from dead_letters",
    );
    expect({ kept, attempts }).toEqual({ kept: TOTAL, attempts: 2 });
    await expectClosedBooks();
  });

  it("INV-2, INV-3: land once, as they were accepted, though the store is killed in the middle", async () => {
    await applyPipeline("");
    const store = mesh.process("store");
    const broken = letters.replay(ALL, {
      onProgress: ({ published, remaining }) => {
        if (published > 0n && remaining > 0n) store.kill("SIGKILL");
      },
    });
    await expect(broken).rejects.toThrow();
    await store.exited();
    await store.restart();
    // What had been sent may be under way still: it is sent again, and settled once.
    await vi.waitFor(() => letters.replay(ALL), WAIT);
    await mesh.untilDrained();
    expect(await groups()).toEqual([]);
    expect((await groups(DeadLetterState.RESOLVED)).map(([, , count]) => count)).toEqual([TOTAL]);
    const rows = await mesh.books.query<{ data_id: string; uuid: string; accepted_at: Date }>(
      "select data_id, uuid, accepted_at from records where source_id = $1",
      [SOURCE.sourceId],
    );
    expect(rows).toHaveLength(TOTAL);
    const shown = rows.map(({ data_id, uuid, accepted_at }) => [data_id, uuid, accepted_at.getTime()]);
    const expected = [...receipts].map(([dataId, { uuid, acceptedAtMs }]) => [dataId, uuid, acceptedAtMs]);
    expect(shown.sort()).toEqual(expected.sort());
    const [{ duplicates, stored } = {}] = await mesh.books.query<Record<string, number>>(
      `select coalesce(sum(duplicate), 0)::int as duplicates, coalesce(sum(stored), 0)::int as stored
       from invoices where replay_of is not null`,
    );
    expect({ duplicates, stored }).toEqual({ duplicates: 0, stored: TOTAL });
    await expectClosedBooks();
  });

  it("pass dedup, also where the same record has been committed in the meantime", async () => {
    const record = note("", "needs a key", 1, { sourceType: "keyless", sourceId: "twin" });
    await push([record]);
    await mesh.untilDrained();
    const client = createGrpcClient(PipelineService, mesh.endpoints.admin.enricher!);
    await client.calls.applyPipeline({
      definition: '{ tenant: "*", source_type: keyless, steps: [{ map: { data_id: \'"derived"\' } }] }',
    });
    client.close();
    // Sent again by its source, until dedup has heard of the commit and drops it.
    await vi.waitFor(async () => {
      await push([record]);
      await mesh.untilDrained();
      const [books] = await mesh.books.query<{ n: number }>(
        "select sum(duplicate)::int as n from totals where source_id = 'twin'",
      );
      expect(books!.n).toBeGreaterThan(0);
    }, WAIT);
    await letters.replay({ by: { case: "filter", value: { sourceId: "twin" } } });
    await mesh.untilDrained();
    expect(
      await mesh.books.query("select state, verdict, attempts from dead_letters where source_id = 'twin'"),
    ).toEqual([{ state: "resolved", verdict: "unchanged", attempts: 1 }]);
    await expectClosedBooks();
  });

  it("can be given up, on purpose only", async () => {
    await push([note("", "nobody's", 1, { sourceId: "given-up" })]);
    await mesh.untilDrained();
    const who = { note: "a test", discardedBy: "ada" };
    for (const request of [
      who,
      { ...who, selection: { by: { case: "filter" as const, value: {} } } },
      { ...who, selection: { by: { case: "all" as const, value: false } } },
      { ...who, selection: ALL, note: " " },
      { ...who, selection: ALL, discardedBy: "" },
      { ...who, selection: { by: { case: "ids" as const, value: { ids: ["nonsense"] } } } },
    ])
      await expect(letters.calls.discardDeadLetters(request), JSON.stringify(request)).rejects.toMatchObject({
        code: 3,
      });
    expect(await letters.calls.discardDeadLetters({ ...who, selection: ALL })).toMatchObject({
      discarded: 1n,
    });
    const { deadLetters } = await letters.calls.listDeadLetters({ state: DeadLetterState.DISCARDED });
    expect(deadLetters).toMatchObject([{ sourceId: "given-up", ...who }]);
    const ids = [deadLetters[0]!.id];
    expect((await letters.calls.listDeadLetters({ ids })).deadLetters).toEqual(deadLetters);
    await expect(letters.calls.listDeadLetters({ ids, pageSize: 10 })).rejects.toMatchObject({ code: 3 });
    expect((await letters.replay(ALL)).at(-1)).toMatchObject({ matched: 0n, published: 0n });
    await expect(
      letters.calls.getDeadLetter({ id: `${"a".repeat(8)}-aaaa-4aaa-8aaa-${"a".repeat(12)}/1` }),
    ).rejects.toMatchObject({ code: 5 });
    await expectClosedBooks();
  });
});
