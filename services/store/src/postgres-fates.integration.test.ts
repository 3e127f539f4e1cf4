import { randomUUID } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { uuidAt } from "@chowhound/shared/batch/batch-columns";
import { BatchFatesSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/batch_fates";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import {
  type RecordFate,
  RecordState,
  RecordStateSchema,
  type SearchGap,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { formatUuid, parseUuid } from "@chowhound/shared/record/uuid";
import { type SampleRecord, sampleBatch } from "@chowhound/shared/testing/sample-batches";
import fc from "fast-check";
import type { Client } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openTestDatabase, type TestDatabase } from "./database-for-test.ts";
import { dropForTest } from "./drop-for-test.ts";
import { STATE_OF } from "./group-fates.ts";
import { mergeFates } from "./locate-records.ts";
import { PostgresLetters } from "./postgres-letters.ts";
import { PostgresReader } from "./postgres-reader.ts";
import type { PostgresWriter } from "./postgres-writer.ts";
import { collectReplay, enriched } from "./replay-for-test.ts";
import { VERDICTS, type Verdict } from "./verdict.ts";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const DAY_US = 86_400_000_000;
const at = (second: number): number => Date.UTC(2026, 0, 1, 0, 0, second) * 1000;
let database: TestDatabase;
let client: Client;
let writer: PostgresWriter;
let reader: PostgresReader;

beforeAll(async () => {
  database = await openTestDatabase();
  ({
    client,
    writers: [writer],
  } = database);
  reader = new PostgresReader({ ...database.options, connections: 2 });
});
afterAll(async () => {
  await reader.close();
  await database.drop();
});
beforeEach(() => database.empty());
afterEach(expectCountsAgree);

interface InvoiceOfTest extends Record<Verdict, number> {
  batchId: string;
  detail: Buffer;
}

async function invoices(): Promise<InvoiceOfTest[]> {
  const { rows } = await client.query<InvoiceOfTest>(
    `select batch_id as "batchId", detail, ${VERDICTS.join(", ")} from invoices order by booked_at, raw_seq`,
  );
  return rows;
}

/** After every test: the fates of each invoice count up to its verdicts. */
async function expectCountsAgree(): Promise<void> {
  for (const { detail, batchId: _, ...verdicts } of await invoices()) {
    const { states } = fromBinary(BatchFatesSchema, detail);
    const counts = VERDICTS.map((verdict) => [
      verdict,
      states.filter((state) => state === STATE_OF[verdict]).length,
    ]);
    expect(Object.fromEntries(counts)).toEqual(verdicts);
  }
}

async function write(...batches: RecordBatch[]): Promise<void> {
  await writer.write(batches);
}

async function find(
  id: string,
  { tenantId = "acme", sinceUs }: { tenantId?: string; sinceUs?: number } = {},
): Promise<{ fates: RecordFate[]; gaps: SearchGap[] }> {
  const { fates, gaps } = await reader.fates.find(tenantId, parseUuid(id)!, sinceUs);
  const merged = mergeFates(fates);
  await reader.fates.describe(tenantId, merged);
  return { fates: merged, gaps };
}

const stateNames = (fates: readonly RecordFate[]): string[] =>
  fates.map(({ state }) => RecordStateSchema.value[state]!.localName);

/** The states of what is found, oldest first; nothing may be left unsearched. */
async function statesOf(id: string, tenantId = "acme"): Promise<string[]> {
  const { fates, gaps } = await find(id, { tenantId });
  expect(gaps).toEqual([]);
  return stateNames(fates);
}

const uuidOf = (batch: RecordBatch, index: number): string => formatUuid(uuidAt(batch, index));
const receiptOf = (batch: RecordBatch, call = 0): string => formatUuid(batch.calls[call]!.receiptId);

describe("what became of a record", () => {
  it("is told for each verdict, every time that it came", async () => {
    const uuid = randomUUID();
    const first: SampleRecord = { dataId: "a", data: "one", updatedAtUs: at(1), uuid };
    for (const record of [
      first,
      first,
      { ...first, updatedAtUs: at(2) },
      { ...first, data: "two", updatedAtUs: at(3) },
      first,
      { ...first, dataId: "b" },
      { ...first, dead: { reason: "map_failed", detail: "no such field" } },
    ])
      await write(sampleBatch({ records: [{}, record, {}] }));
    await write(dropForTest(sampleBatch({ records: [{}, first, {}] }), [1]));
    expect(await statesOf(uuid)).toEqual([
      "STORED",
      "UNCHANGED",
      "UNCHANGED",
      "UPDATED",
      "STALE",
      "CONFLICT",
      "DEAD_LETTERED",
      "DUPLICATE",
    ]);
  });

  it("comes with when, by which pipeline, in which batch, and under which receipt and trace", async () => {
    const records = [{ tenantId: "globex" }, { pipelineVersion: 7, dataId: "x" }, {}];
    const batch = sampleBatch({
      records,
      traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01`,
      acceptedAtUs: Date.now() * 1000,
      origin: { epoch: 5n, sequence: 9n },
    });
    await write(batch);
    const { fates } = await find(uuidOf(batch, 1));
    expect(fates).toMatchObject([
      {
        uuid: uuidOf(batch, 1),
        receiptId: receiptOf(batch, 1),
        traceId: TRACE_ID,
        pipelineVersion: 7n,
        batch: { batchId: formatUuid(batch.batchId), ordinal: 1, epoch: 5n, rawSequence: 9n, replayOf: "" },
        row: {
          key: { sourceType: "forum", sourceId: "town-square", dataId: "x" },
          isThis: true,
          storedAt: fates[0]!.bookedAt,
        },
      },
    ]);
    expect(fates[0]!.acceptedAt!.seconds * 1_000_000n + BigInt(fates[0]!.acceptedAt!.nanos / 1000)).toBe(
      batch.acceptedAtUs,
    );
  });

  it("names the row that has the uuid, where the record isn't it", async () => {
    const uuid = randomUUID();
    await write(sampleBatch({ records: [{ dataId: "right", uuid }] }));
    await write(sampleBatch({ records: [{ dataId: "wrong", uuid, updatedAtUs: at(1) }] }));
    const { fates } = await find(uuid);
    expect(fates.map(({ row }) => [row?.key?.dataId, row?.isThis])).toEqual([
      ["right", true],
      ["right", false],
    ]);
    const replaced = sampleBatch({ records: [{ dataId: "k", updatedAtUs: at(1) }] });
    await write(replaced, sampleBatch({ records: [{ dataId: "k", updatedAtUs: at(2) }] }));
    const [only] = (await find(uuidOf(replaced, 0))).fates;
    expect(only).toMatchObject({ state: RecordState.STALE });
    expect(only!.row).toBeUndefined();
  });

  it("is told for each record of one transaction", async () => {
    const version = (second: number): SampleRecord => ({
      dataId: "k",
      data: `${second}`,
      updatedAtUs: at(second),
    });
    const [a, b] = [
      sampleBatch({ records: [version(1), version(3), version(2)] }),
      sampleBatch({ records: [version(3), {}] }),
    ];
    await write(a!, b!);
    expect(await Promise.all([0, 1, 2].map((i) => statesOf(uuidOf(a!, i))))).toEqual([
      ["STALE"],
      ["STORED"],
      ["STALE"],
    ]);
    expect(await statesOf(receiptOf(b!))).toEqual(["UNCHANGED", "STORED"]);
  });

  it("is told for those that the database refused, and for their neighbours", async () => {
    await client.query("alter table records add constraint no_poison check (data <> 'poison')");
    try {
      const records = Array.from({ length: 200 }, (_, i) => ({ data: i === 77 ? "poison" : "fine" }));
      const batch = sampleBatch({ records });
      await write(batch);
      expect(await statesOf(uuidOf(batch, 76))).toEqual(["STORED"]);
      const { fates } = await find(uuidOf(batch, 77));
      expect(fates).toMatchObject([
        {
          state: RecordState.DEAD_LETTERED,
          deadLetter: {
            id: `${formatUuid(batch.batchId)}/77`,
            stage: "store",
            reason: "value_refused_by_database",
            state: "open",
            attempts: 1,
          },
        },
      ]);
    } finally {
      await client.query("alter table records drop constraint no_poison");
    }
  });

  it("is told once where a batch comes again", async () => {
    const batch = sampleBatch({ records: [{}] });
    await write(batch, batch);
    await write(batch);
    expect(await statesOf(uuidOf(batch, 0))).toEqual(["STORED"]);
  });

  it("is told twice where a batch has a uuid twice", async () => {
    const uuid = randomUUID();
    const dead = { reason: "map_failed" };
    await write(
      sampleBatch({
        records: [
          { uuid, dead },
          { uuid, dead },
        ],
      }),
    );
    const { fates } = await find(uuid);
    expect(fates.map(({ deadLetter }) => deadLetter?.id.split("/")[1])).toEqual(["0", "1"]);
  });

  it("is told also of what older software dropped, as far as that said", async () => {
    const batch = dropForTest(sampleBatch({ records: [{}, {}] }), [0]);
    const dropped = formatUuid(batch.droppedUuids);
    const receipt = receiptOf(batch);
    await write({ ...batch, droppedUuids: new Uint8Array(), droppedCallOf: [], droppedPipelineOf: [] });
    expect(await statesOf(dropped)).toEqual([]);
    expect(await statesOf(receipt)).toEqual(["DUPLICATE", "STORED"]);
  });

  it("is told nothing of what older software dropped of others, and that it may have been of this call", async () => {
    const batch = dropForTest(sampleBatch({ records: [{}, {}, { tenantId: "globex" }] }), [1, 2]);
    await write({ ...batch, droppedUuids: new Uint8Array(), droppedCallOf: [], droppedPipelineOf: [] });
    const { fates, gaps } = await find(receiptOf(batch));
    expect(stateNames(fates)).toEqual(["STORED"]);
    expect(gaps.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^an older dedup has dropped 2 records of the same batches/),
    ]);
  });
});

describe("a replayed dead letter", () => {
  const letters = () => new PostgresLetters(database.options);

  it("has a fate for each time, and says what came of it", async () => {
    const records = [{}, { dead: { reason: "map_failed" } }, { dead: { reason: "map_failed" } }];
    const batch = sampleBatch({ records });
    await write(batch);
    const [again] = (await collectReplay(letters(), {})).batches;
    await write(enriched(again!, { version: 3n, dies: (index) => index === 1 }));
    const [landed, relapsed] = [1, 2].map((index) => uuidOf(batch, index));
    const id = `${formatUuid(batch.batchId)}/1`;
    expect((await find(landed!)).fates).toMatchObject([
      {
        state: RecordState.DEAD_LETTERED,
        deadLetter: { id, state: "resolved", verdict: RecordState.STORED },
        batch: { replayOf: "" },
      },
      { state: RecordState.STORED, pipelineVersion: 3n, batch: { replayOf: id }, row: { isThis: true } },
    ]);
    const { fates } = await find(relapsed!);
    const relapsedLetter = {
      id: `${formatUuid(batch.batchId)}/2`,
      state: "open",
      attempts: 2,
      reason: "step_error",
    };
    expect(fates.map(({ deadLetter }) => deadLetter)).toMatchObject([relapsedLetter, relapsedLetter]);
    expect(await statesOf(receiptOf(batch))).toEqual([
      "STORED",
      "DEAD_LETTERED",
      "DEAD_LETTERED",
      "STORED",
      "DEAD_LETTERED",
    ]);
  });
});

describe("a search", () => {
  it("reads a bounded number of the dead letters of one uuid, the newest, and says so", async () => {
    const uuid = randomUUID();
    await write(sampleBatch({ records: [{ uuid, dead: { reason: "map_failed" } }] }));
    // Those of compacted invoices, with the second in which they died as their ordinal.
    await client.query(`
      insert into dead_letters
      select copy.* from dead_letters l, generate_series(1, 1500) n, jsonb_populate_record(l, jsonb_build_object(
        'batch_id', gen_random_uuid(), 'ordinal', n, 'first_seen', l.first_seen - n * interval '1 s')) copy`);
    const { fates, gaps } = await find(uuid);
    expect(fates).toHaveLength(1000);
    expect(fates.map(({ batch }) => batch!.ordinal).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    );
    expect(gaps.map(({ message }) => message)).toEqual([expect.stringContaining("1000 dead letters")]);
  });

  it("finds all records of a call by its receipt, wherever they went", async () => {
    const batch = sampleBatch({ records: [{}, { tenantId: "globex" }, {}] });
    const more = sampleBatch({ records: [{}] });
    more.calls[0]!.receiptId = batch.calls[0]!.receiptId;
    await write(batch);
    await write(more);
    const { fates, gaps } = await find(receiptOf(batch));
    expect(fates.map(({ uuid }) => uuid)).toEqual([uuidOf(batch, 0), uuidOf(batch, 2), uuidOf(more, 0)]);
    expect(gaps).toEqual([]);
  });

  it("finds nothing of another tenant, and tells the two apart where both have the uuid", async () => {
    const uuid = randomUUID();
    const batch = sampleBatch({
      records: [{}, { tenantId: "globex" }, { uuid }, { uuid, tenantId: "globex" }],
    });
    await write(batch);
    for (const id of [uuidOf(batch, 0), receiptOf(batch)])
      expect(await find(id, { tenantId: "globex" })).toEqual(await find(id, { tenantId: "initech" }));
    expect(await statesOf(uuidOf(batch, 0), "globex")).toEqual([]);
    const ordinals = async (tenantId: string) =>
      (await find(uuid, { tenantId })).fates.map(({ batch }) => batch?.ordinal);
    expect([await ordinals("acme"), await ordinals("globex")]).toEqual([[2], [3]]);
  });

  it("takes no bytes for a uuid that only happen to stand there", async () => {
    const batch = sampleBatch({ records: [{}, {}] });
    await write(batch);
    const between = formatUuid(batch.uuids, 8);
    const { rows } = await client.query("select from invoices where position($1::bytea in detail) > 0", [
      Buffer.from(batch.uuids.subarray(8, 24)),
    ]);
    expect(rows).toHaveLength(1);
    expect(await statesOf(between)).toEqual([]);
  });

  it("finds what is no row any more however old it is, and says back to when it searched", async () => {
    const uuid = randomUUID();
    const acceptedAtUs = Date.now() * 1000 - 800 * DAY_US;
    await write(
      sampleBatch({ acceptedAtUs, records: [{ dataId: "k", uuid, updatedAtUs: at(1), data: "old" }] }),
    );
    await write(sampleBatch({ records: [{ dataId: "k", updatedAtUs: at(2), data: "new" }] }));
    expect(await statesOf(uuid)).toEqual(["STORED"]);
    expect((await find(uuid, { sinceUs: acceptedAtUs + 1 })).fates).toEqual([]);
    expect(stateNames((await find(uuid, { sinceUs: acceptedAtUs })).fates)).toEqual(["STORED"]);
    // A uuid of version 7 limits the search by itself.
    const newer = `${uuidOf(sampleBatch({ records: [{}] }), 0).slice(0, 18)}${uuid.slice(18)}`;
    expect(await statesOf(newer)).toEqual([]);
  });

  it("says what it had no time for", async () => {
    const batch = sampleBatch({ records: [{}] });
    await write(batch);
    await client.query("begin; lock table invoices in access exclusive mode");
    try {
      const { fates, gaps } = await find(randomUUID());
      expect(fates).toEqual([]);
      expect(gaps).toMatchObject([
        { where: "books", message: expect.stringMatching(/^not all was searched .*set since/) },
      ]);
      expect((await find(receiptOf(batch))).gaps).not.toEqual([]);
    } finally {
      await client.query("rollback");
    }
    expect(await statesOf(receiptOf(batch))).toEqual(["STORED"]);
  });

  it("finds rows and dead letters whose invoices are compacted, and says what is not known of old receipts", async () => {
    const batch = sampleBatch({ records: [{ dataId: "k" }, { dead: { reason: "map_failed" } }] });
    await write(batch);
    await client.query(`
      insert into compacted_invoices (epoch, through_seq, through_accepted_at, invoices, accepted, stored, updated,
        unchanged, stale, duplicate, conflict, dead_lettered, replayed, reclaimed)
      select epoch, raw_seq, accepted_at, 1, 2, 1, 0, 0, 0, 0, 0, 1, 0, 0 from invoices;
      delete from invoices`);
    const compacted = [{ where: "books", message: expect.stringMatching(/compacted/) }];
    const row = await find(uuidOf(batch, 0));
    expect(row.fates).toMatchObject([
      { state: RecordState.LANDED, receiptId: receiptOf(batch), row: { isThis: true } },
    ]);
    expect(row.gaps).toMatchObject(compacted);
    const letter = await find(uuidOf(batch, 1));
    expect(letter.fates).toMatchObject([
      { state: RecordState.DEAD_LETTERED, deadLetter: { state: "open" }, batch: { ordinal: 1 } },
    ]);
    expect(await find(receiptOf(batch))).toMatchObject({ fates: [], gaps: compacted });
    const later = sampleBatch({ records: [{}], acceptedAtUs: Date.now() * 1000 });
    later.calls[0]!.receiptId = parseUuid(laterV7(60))!;
    expect((await find(formatUuid(later.calls[0]!.receiptId))).gaps).toEqual([]);
  });

  it("goes by its indexes in a large table", async () => {
    await client.query(`
      insert into invoices (batch_id, epoch, raw_seq, accepted_at, accepted, stored, detail)
      select gen_random_uuid(), 1, n, now() - n * interval '1 minute', 0, 0, '\\x'
      from generate_series(1, 20000) as n`);
    await client.query("vacuum analyze invoices");
    const { rows } = await client.query(
      `explain select batch_id from invoices where accepted_at >= timestamptz 'epoch' + $1::bigint * interval '1 microsecond'
        and accepted_at < timestamptz 'epoch' + $2::bigint * interval '1 microsecond' and position('\\x00'::bytea in detail) > 0`,
      [Date.now() * 1000 - 2 * DAY_US, Date.now() * 1000 - 2 * DAY_US + 40e6],
    );
    expect(JSON.stringify(rows)).toContain("invoices_accepted");
    await database.empty();
  });
});

/** A uuid of version 7 of so many seconds from now. */
function laterV7(seconds: number): string {
  const ms = (Date.now() + seconds * 1000).toString(16).padStart(12, "0");
  return `${ms.slice(0, 8)}-${ms.slice(8)}-7000-8000-000000000001`;
}

it("any sequence of batches: each record has the fate that the books counted, and the rows agree", async () => {
  const startedUs = Date.now() * 1000;
  const uuids = Array.from({ length: 4 }, () => randomUUID());
  const anyRecord = fc.record({
    key: fc.integer({ min: 1, max: 4 }),
    uuid: fc.integer({ min: 0, max: 3 }),
    version: fc.integer({ min: 1, max: 3 }),
    content: fc.integer({ min: 1, max: 2 }),
    pipeline: fc.integer({ min: 0, max: 1 }),
    tenant: fc.constantFrom("acme", "globex"),
    end: fc.constantFrom("passes", "passes", "passes", "dies", "dropped"),
  });
  const anyGroups = fc.array(
    fc.array(fc.array(anyRecord, { maxLength: 5 }), { minLength: 1, maxLength: 3 }),
    { minLength: 1, maxLength: 4 },
  );
  await fc.assert(
    fc.asyncProperty(anyGroups, async (groups) => {
      await database.empty();
      const sent: { batchId: string; ordinal: number; uuid: string; tenantId: string }[] = [];
      for (const group of groups) {
        const batches = group.map((records) => {
          const batch = sampleBatch({
            records: records.map(({ key, uuid, version, content, pipeline, tenant, end }) => ({
              tenantId: tenant,
              dataId: `k${key}`,
              uuid: uuids[uuid]!,
              data: `content ${content}`,
              updatedAtUs: at(version),
              pipelineVersion: pipeline,
              ...(end === "dies" && { dead: { reason: "map_failed" } }),
            })),
          });
          const batchId = formatUuid(batch.batchId);
          for (const [ordinal, { uuid, tenant }] of records.entries())
            sent.push({ batchId, ordinal, uuid: uuids[uuid]!, tenantId: tenant });
          return dropForTest(
            batch,
            records.flatMap(({ end }, index) => (end === "dropped" ? [index] : [])),
          );
        });
        await write(...batches);
      }
      await expectCountsAgree();
      for (const tenantId of ["acme", "globex"]) {
        const rows = (
          await client.query("select uuid, batch_id from records where tenant_id = $1", [tenantId])
        ).rows;
        for (const uuid of uuids) {
          const { fates } = await find(uuid, { tenantId, sinceUs: startedUs });
          expect(fates.map(({ batch }) => `${batch!.batchId}/${batch!.ordinal}`).sort()).toEqual(
            sent
              .filter((record) => record.uuid === uuid && record.tenantId === tenantId)
              .map(({ batchId, ordinal }) => `${batchId}/${ordinal}`)
              .sort(),
          );
          const row = rows.find((candidate) => candidate.uuid === uuid);
          const claims = fates.filter((fate) => fate.row?.isThis);
          expect(claims.length > 0).toBe(row !== undefined);
          expect(claims.every(({ batch }) => batch?.batchId === row?.batch_id)).toBe(true);
        }
      }
    }),
    { numRuns: 25 },
  );
});
