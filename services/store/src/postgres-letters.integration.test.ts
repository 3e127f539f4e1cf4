import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { type SampleRecord, sampleBatch } from "@chowhound/shared/testing/sample-batches";
import fc from "fast-check";
import type { Client } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { compactInvoices } from "./compact-invoices.ts";
import { openTestDatabase, type TestDatabase } from "./database-for-test.ts";
import { formatLetterId, parseLetterId } from "./letter-id.ts";
import { PostgresLetters } from "./postgres-letters.ts";
import type { PostgresWriter } from "./postgres-writer.ts";
import { collectReplay, enriched } from "./replay-for-test.ts";

const DEAD: SampleRecord = { dead: { reason: "map_failed", detail: "no such field" } };
const ALL = {};
const WHO = { after: undefined, limit: 1_000, note: "not worth it", discardedBy: "ada" };
const PROPERTY_RUNS = 25;
let database: TestDatabase;
let client: Client;
let writer: PostgresWriter;
let other: PostgresWriter;
let letters: PostgresLetters;

beforeAll(async () => {
  database = await openTestDatabase();
  ({
    client,
    writers: [writer, other],
  } = database);
  letters = new PostgresLetters(database.options);
});
afterAll(() => database.drop());
beforeEach(() => database.empty());
afterEach(expectBalance);

/** INV-1, after every test: the books agree with themselves, with the rows and with the letters. */
async function expectBalance(): Promise<void> {
  const { rows } = await client.query(`
    with i as (select coalesce(sum(accepted), 0)::int as accepted, coalesce(sum(reclaimed), 0)::int as reclaimed,
                 coalesce(sum(dead_lettered), 0)::int as dead,
                 coalesce(sum(replayed), 0)::int as replayed
               from (select accepted, reclaimed, dead_lettered, case when replay_of is not null then accepted end as replayed
                     from invoices
                     union all select accepted, reclaimed, dead_lettered, replayed from compacted_invoices) booked),
      t as (select coalesce(sum(accepted), 0)::int as accepted, coalesce(sum(reclaimed), 0)::int as reclaimed,
              coalesce(sum(dead_lettered), 0)::int as dead, coalesce(sum(replayed), 0)::int as replayed,
              coalesce(sum(stored) - sum(deleted), 0)::int as rows, coalesce(sum(discarded), 0)::int as discarded
            from totals),
      l as (select count(*) filter (where state = 'open')::int as open,
              count(*) filter (where state = 'discarded')::int as discarded from dead_letters)
    select (select count(*)::int from invoices
            where accepted <> stored + updated + unchanged + stale + duplicate + conflict + dead_lettered) as unbalanced,
      t.accepted - i.accepted as accepted, t.reclaimed - i.reclaimed as reclaimed, t.dead - i.dead as dead,
      t.replayed - i.replayed as replayed, t.rows - (select count(*)::int from records) as rows,
      t.discarded - l.discarded as discarded, t.dead - t.reclaimed - t.discarded - l.open as open
    from i, t, l`);
  expect(rows).toEqual([
    { unbalanced: 0, accepted: 0, reclaimed: 0, dead: 0, replayed: 0, rows: 0, discarded: 0, open: 0 },
  ]);
}

async function replay(filter = ALL): Promise<RecordBatch[]> {
  return (await collectReplay(letters, filter)).batches;
}

/** The letters, in the order of acceptance. */
async function states(): Promise<string[]> {
  const { rows } = await client.query(
    "select concat_ws(' ', state, verdict, attempts) as state from dead_letters order by accepted_at, batch_id, ordinal",
  );
  return rows.map(({ state }) => state);
}

const sum = async (column: string): Promise<number> =>
  Number((await client.query(`select coalesce(sum(${column}), 0) as n from totals`)).rows[0].n);

describe("a batch that comes again after its invoice was folded", () => {
  it.each(["open", "resolved", "discarded"])("leaves a letter that is %s as it is", async (state) => {
    const batch = sampleBatch({ records: [{}, DEAD], origin: { epoch: 77n, sequence: 1n } });
    await writer.write([batch]);
    if (state === "resolved") await writer.write([enriched((await replay())[0]!)]);
    if (state === "discarded") await letters.discard(ALL, WHO);
    const before = await states();
    const { signal } = new AbortController();
    const folding = { keepMs: 0, keepNewest: 0, signal, log: database.options.log };
    expect(await compactInvoices(client, folding)).toBe(1);
    // Its batch id is not known any more.
    const again = { ...batch, origin: { ...batch.origin!, sequence: 2n } };
    const { outcomes } = await writer.write([again]);
    expect(outcomes).toMatchObject([{ kind: "booked", verdicts: { unchanged: 1, dead_lettered: 1 } }]);
    expect(await states()).toEqual(before);
    expect(await sum("dead_lettered - reclaimed - discarded")).toBe(state === "open" ? 1 : 0);
  });
});

describe("a replay", () => {
  it("brings records as they were accepted, and resolves their letters when they land", async () => {
    const batch = sampleBatch({
      acceptedAtUs: Date.UTC(2026, 0, 1) * 1000 + 123_456,
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      records: [
        {},
        { ...DEAD, tenantId: "globex", dataId: "b", attributes: { k: "v" } },
        { ...DEAD, dataId: "c" },
      ],
    });
    await writer.write([batch]);
    const [again, ...more] = await replay();
    expect(more).toEqual([]);
    expect(again!.envelopeVersion).toBe(2);
    expect(again!.batchId).not.toEqual(batch.batchId);
    expect(Buffer.from(again!.replayOf)).toEqual(Buffer.from(batch.batchId));
    expect(again!.replayOrdinals).toEqual([1, 2]);
    const of = (source: RecordBatch, index: number) => ({
      original: Buffer.from(source.originals[index]!),
      uuid: Buffer.from(source.uuids.subarray(index * 16, index * 16 + 16)),
      hash: Buffer.from(source.contentHashes.subarray(index * 16, index * 16 + 16)),
      version: source.versionsUs[index],
      acceptedAtUs: source.acceptedAtUs,
      tenantId: source.calls[source.callOf[index]!]!.tenantId,
      receiptId: Buffer.from(source.calls[source.callOf[index]!]!.receiptId),
      traceparent: source.calls[source.callOf[index]!]!.traceparent,
    });
    expect([of(again!, 0), of(again!, 1)]).toEqual([of(batch, 1), of(batch, 2)]);

    const { outcomes } = await writer.write([enriched(again!, { version: 5n })]);
    expect(outcomes).toMatchObject([{ kind: "booked", verdicts: { stored: 2 } }]);
    expect(await states()).toEqual(["resolved stored 1", "resolved stored 1"]);
    const { rows } = await client.query(
      "select accepted_at, trace_id, pipeline_version from records where data_id = 'b'",
    );
    expect(rows).toEqual([
      {
        accepted_at: new Date(Date.UTC(2026, 0, 1) + 123),
        trace_id: "0af7651916cd43dd8448eb211c80319c",
        pipeline_version: "5",
      },
    ]);
    expect([await sum("accepted"), await sum("replayed"), await sum("reclaimed")]).toEqual([5, 2, 2]);
    // The door accepted one record of globex, and the books of globex say so.
    const globex = await client.query(
      "select sum(accepted - replayed)::int as n from totals where tenant_id = 'globex'",
    );
    expect(globex.rows).toEqual([{ n: 1 }]);
  });

  it("reports what it committed to dedup, as any batch does", async () => {
    await writer.write([sampleBatch({ records: [DEAD, DEAD] })]);
    const [again] = await replay();
    const batch = enriched(again!, { dies: (index) => index === 0 });
    const { outcomes } = await writer.write([batch]);
    expect(outcomes[0]).toMatchObject({
      committedFingerprints: Buffer.from(batch.fingerprints.subarray(16)),
    });
  });

  it("leaves a letter open whose record dies again: the same one, with what happened now", async () => {
    await writer.write([sampleBatch({ records: [DEAD] })]);
    const [before] = await letters.list(ALL, "open", WHO);
    const [again] = await replay();
    await writer.write([enriched(again!, { version: 9n, dies: () => true })]);
    const [after, ...more] = await letters.list(ALL, "open", WHO);
    expect(more).toEqual([]);
    expect(after).toMatchObject({
      batchId: before!.batchId,
      ordinal: 0,
      reason: "step_error",
      detail: "v9",
      pipelineVersion: "9",
      attempts: 2,
      firstSeen: before!.firstSeen,
      acceptedAtUs: before!.acceptedAtUs,
      replayBatchId: Buffer.from(again!.batchId)
        .toString("hex")
        .replace(/(.{8})(.{4})(.{4})(.{4})(.*)/, "$1-$2-$3-$4-$5"),
    });
    expect(after!.lastSeen.getTime()).toBeGreaterThan(before!.lastSeen.getTime());
    expect([await sum("dead_lettered"), await sum("reclaimed")]).toEqual([2, 1]);
  });

  it("that the store finds dead again says so, with the store's reason", async () => {
    await writer.write([sampleBatch({ records: [{ ...DEAD, data: "poison" }] })]);
    await client.query("alter table records add constraint no_poison check (data <> 'poison')");
    try {
      await writer.write([enriched((await replay())[0]!)]);
    } finally {
      await client.query("alter table records drop constraint no_poison");
    }
    expect(await letters.list(ALL, "open", WHO)).toMatchObject([
      { stage: "store", reason: "value_refused_by_database", attempts: 2 },
    ]);
  });

  it("of letters that are settled changes nothing but its own invoice", async () => {
    await writer.write([sampleBatch({ records: [DEAD, DEAD] })]);
    const [first] = await replay();
    const [second] = await replay();
    const [third] = await replay();
    await writer.write([enriched(first!)]);
    const settled = (await client.query("select * from dead_letters order by ordinal")).rows;
    await writer.write([enriched(second!)]);
    await writer.write([enriched(third!, { dies: () => true })]);
    expect((await client.query("select * from dead_letters order by ordinal")).rows).toEqual(settled);
    expect([await sum("unchanged"), await sum("dead_lettered"), await sum("reclaimed")]).toEqual([2, 4, 4]);
    expect(await replay()).toEqual([]);
  });

  it("twice of one letter in one transaction settles it once", async () => {
    await writer.write([sampleBatch({ records: [DEAD, DEAD] })]);
    const [first] = await replay();
    const [second] = await replay();
    await writer.write([enriched(first!, { dies: (index) => index === 0 }), enriched(second!)]);
    // Both landed, the first of them in the second replay: its death before was none any more.
    expect(await states()).toEqual(["resolved stored 1", "resolved stored 1"]);
    expect([await sum("dead_lettered"), await sum("reclaimed")]).toEqual([3, 3]);
  });

  it("delivered twice is booked once", async () => {
    await writer.write([sampleBatch({ records: [DEAD] })]);
    const batch = enriched((await replay())[0]!);
    const { outcomes } = await writer.write([batch, batch]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(["booked", "already_booked"]);
    expect((await other.write([batch])).outcomes[0]?.kind).toBe("already_booked");
    expect(await sum("reclaimed")).toBe(1);
  });

  it("after the record's source has sent it again resolves its letter, and the twin stays", async () => {
    const record = { dataId: "twin", updatedAtUs: Date.UTC(2026, 0, 1) * 1000 };
    await writer.write([sampleBatch({ records: [{ ...record, ...DEAD }] })]);
    await writer.write([sampleBatch({ records: [record] })]);
    expect(await states()).toEqual(["open 1"]);
    const twin = (await client.query("select * from records")).rows;
    await writer.write([enriched((await replay())[0]!)]);
    expect(await states()).toEqual(["resolved unchanged 1"]);
    expect((await client.query("select * from records")).rows).toEqual(twin);
  });

  it("into a database that lacks the letter loses nothing", async () => {
    await writer.write([
      sampleBatch({
        records: [
          { ...DEAD, dataId: "a" },
          { ...DEAD, dataId: "b" },
        ],
      }),
    ]);
    const [again] = await replay();
    await database.empty();
    const batch = enriched(again!, { dies: (index) => index === 0 });
    await writer.write([batch]);
    expect(await letters.list(ALL, "open", WHO)).toMatchObject([{ dataId: "a", ordinal: 0, attempts: 1 }]);
    expect((await client.query("select data_id from records")).rows).toEqual([{ data_id: "b" }]);
    // And can be replayed again from there.
    await writer.write([enriched((await replay())[0]!)]);
    expect(await states()).toEqual(["resolved stored 1"]);
  });

  it("passes over what is no record, and says which and why", async () => {
    const undecodable: SampleRecord = { dead: { reason: "undecodable_batch" } };
    const batch = sampleBatch({ records: [undecodable, DEAD, DEAD] });
    batch.originals[1] = Buffer.from("3aff", "hex");
    await writer.write([batch]);
    const { batches, progress } = await collectReplay(letters, ALL);
    expect(batches.map(({ replayOrdinals }) => replayOrdinals)).toEqual([[2]]);
    expect(
      progress.flatMap(({ skippedLetters }) =>
        skippedLetters.map(({ letter, reason }) => [letter.ordinal, reason]),
      ),
    ).toEqual([
      [0, "undecodable_batch"],
      [1, "malformed_record"],
    ]);
    expect(progress.at(-1)).toMatchObject({ matched: 3, published: 1, skipped: 2, remaining: 0 });
  });

  it("goes page by page through many batches, oldest first, up to its limit", async () => {
    const batches = Array.from({ length: 30 }, (_, i) =>
      sampleBatch({
        acceptedAtUs: (1_700_000_000 - i) * 1e6,
        records: Array.from({ length: 9 }, () => DEAD),
      }),
    );
    for (const batch of batches) await writer.write([batch]);
    const part = await collectReplay(letters, ALL, { limit: 120 });
    expect(part.progress.map(({ published, remaining }) => [published, remaining])).toEqual([
      [0, 270],
      [100, 170],
      [120, 150],
    ]);
    const whole = await collectReplay(letters, ALL);
    const times = whole.batches.map(({ acceptedAtUs }) => acceptedAtUs);
    expect(times).toEqual([...times].sort());
    await writer.write(whole.batches.map((batch) => enriched(batch)));
    expect(await sum("reclaimed")).toBe(270);
    expect(await letters.countOpen(ALL)).toMatchObject({ count: 0 });
  });

  it("brings a batch's letters in several messages where they don't fit one", async () => {
    const large = { ...DEAD, data: "x".repeat(900) };
    await writer.write([sampleBatch({ records: [large, large, large] })]);
    const { batches } = await collectReplay(letters, ALL, { maxBatchBytes: 2_200 });
    expect(batches.map(({ replayOrdinals }) => replayOrdinals)).toEqual([[0, 1], [2]]);
    await writer.write(batches.map((batch) => enriched(batch)));
    expect(await states()).toEqual(Array.from({ length: 3 }, () => "resolved stored 1"));
  });

  it("keeps what it reads at once within bytes", async () => {
    const large = { ...DEAD, data: "x".repeat(900) };
    await writer.write([sampleBatch({ records: [large, large, large] })]);
    const page = (bytes: number) =>
      letters.openPage(ALL, { after: undefined, limits: { letters: 100, bytes } });
    expect(await page(2_000)).toHaveLength(2);
    expect(await page(1)).toHaveLength(1);
  });
});

describe("a discard", () => {
  it("gives open letters up, and says who and why", async () => {
    await writer.write([sampleBatch({ records: [DEAD, { ...DEAD, tenantId: "globex" }] })]);
    expect(await letters.discard({ tenantId: "globex" }, WHO)).toMatchObject({ discarded: 1 });
    expect(await letters.list(ALL, "discarded", WHO)).toMatchObject([
      { tenantId: "globex", note: "not worth it", discardedBy: "ada" },
    ]);
    expect(await letters.list(ALL, "open", WHO)).toMatchObject([{ tenantId: "acme" }]);
    expect(await letters.discard({ tenantId: "globex" }, WHO)).toMatchObject({ discarded: 0 });
    expect(await sum("discarded")).toBe(1);
  });

  it("stays, when a replay that was under way lands the record or has it die", async () => {
    await writer.write([sampleBatch({ records: [DEAD, DEAD] })]);
    const [again] = await replay();
    await letters.discard(ALL, WHO);
    await writer.write([enriched(again!, { dies: (index) => index === 0 })]);
    expect(await states()).toEqual(["discarded 1", "discarded 1"]);
    expect((await client.query("select from records")).rowCount).toBe(1);
  });
});

describe("at the same time", () => {
  // Everybody takes locks in one order. The statistics come within a second.
  afterAll(async () => {
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    const { rows } = await client.query(
      "select deadlocks::int as n from pg_stat_database where datname = current_database()",
    );
    expect(rows).toEqual([{ n: 0 }]);
  });

  it("two stores that replay the same letters settle each once, in whatever order", async () => {
    for (let round = 0; round < 10; round++) {
      const batches = Array.from({ length: 6 }, (_, i) =>
        sampleBatch({ acceptedAtUs: (1_700_000_000 + i) * 1e6, records: [DEAD, DEAD, DEAD] }),
      );
      await writer.write(batches);
      const mine = (await replay()).map((batch) => enriched(batch));
      const theirs = (await replay()).map((batch) => enriched(batch, { dies: (index) => index === 1 }));
      await Promise.all([writer.write(mine), other.write(theirs.reverse())]);
      expect(await letters.countOpen(ALL)).toMatchObject({ count: 0 });
    }
    expect(await sum("stored")).toBe(180);
  });

  it("a replay and a discard: one wins each letter, and the books agree", async () => {
    for (let round = 0; round < 10; round++) {
      await writer.write(
        Array.from({ length: 6 }, (_, i) =>
          sampleBatch({ acceptedAtUs: (1_700_000_000 - i) * 1e6, records: [DEAD, DEAD, DEAD] }),
        ),
      );
      const batches = (await replay()).map((batch) => enriched(batch, { dies: (index) => index === 2 }));
      await Promise.all([
        writer.write(batches.slice(0, 3)),
        other.write(batches.slice(3)),
        letters.discard(ALL, WHO),
      ]);
      await expectBalance();
      await letters.discard(ALL, WHO);
    }
    expect(await letters.countOpen(ALL)).toMatchObject({ count: 0 });
    const { rows } = await client.query("select count(*)::int as n from dead_letters");
    expect(rows).toEqual([{ n: 180 }]);
  });
});

describe("the archive", () => {
  it("filters, counts and pages", async () => {
    await writer.write([
      sampleBatch({
        acceptedAtUs: 1_700_000_000e6,
        records: [
          { ...DEAD, tenantId: "acme", sourceType: "forum" },
          { ...DEAD, tenantId: "acme", sourceType: "mail", sourceId: "inbox" },
          { tenantId: "globex", dead: { reason: "step_error" } },
        ],
      }),
    ]);
    const matching = async (filter: Parameters<typeof letters.list>[0]): Promise<number[]> =>
      (await letters.list(filter, "open", WHO)).map(({ ordinal }) => ordinal);
    expect(await matching({ tenantId: "acme" })).toEqual([0, 1]);
    expect(await matching({ sourceType: "mail", sourceId: "inbox" })).toEqual([1]);
    expect(await matching({ reason: "step_error", stage: "enricher" })).toEqual([2]);
    expect(await matching({ before: new Date(0) })).toEqual([]);
    expect(await matching({ since: new Date(0) })).toEqual([0, 1, 2]);
    const [first] = await letters.list(ALL, "open", { after: undefined, limit: 1 });
    expect(await matching({ ids: [first!] })).toEqual([0]);
    const next = await letters.list(ALL, "open", { after: first, limit: 1 });
    expect(next.map(({ ordinal }) => ordinal)).toEqual([1]);
    expect(await letters.summarize(ALL, "open")).toMatchObject([
      { tenantId: "acme", sourceType: "forum", reason: "map_failed", count: "1" },
      { tenantId: "acme", sourceType: "mail", reason: "map_failed", count: "1" },
      { tenantId: "globex", reason: "step_error", count: "1" },
    ]);
    expect(parseLetterId(formatLetterId(first!))).toEqual({ batchId: first!.batchId, ordinal: 0 });
    expect((await letters.get(first!))?.original.includes("Good morning")).toBe(true);
    expect(await letters.get({ ...first!, ordinal: 99 })).toBeUndefined();
  });

  it("says that the database is away", async () => {
    const away = new PostgresLetters({
      url: "postgres://x:x@127.0.0.1:1/none",
      statementTimeoutMs: 1_000,
    });
    await expect(away.countOpen(ALL)).rejects.toMatchObject({ name: "CallError", reason: "not_ready" });
  });
});

/** What a run of the property does, one after the other. */
type Step =
  | { do: "die"; records: number }
  | { do: "replay"; limit: number }
  | { do: "book"; take: number; dies: boolean[]; again: boolean }
  | { do: "fix" }
  | { do: "discard"; limit: number }
  | { do: "resend" };

/** Without letters, two replays of each under way, little can happen. */
const BEGIN: readonly Step[] = [
  { do: "die", records: 3 },
  { do: "replay", limit: 8 },
  { do: "replay", limit: 8 },
];

it("INV-1: any sequence of deaths, replays, fixes, discards and repeated deliveries ends in balanced books", async () => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ do: fc.constant("die" as const), records: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ do: fc.constant("replay" as const), limit: fc.integer({ min: 1, max: 8 }) }),
    fc.record({
      do: fc.constant("book" as const),
      take: fc.integer({ min: 1, max: 4 }),
      dies: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
      again: fc.boolean(),
    }),
    fc.record({ do: fc.constant("fix" as const) }),
    fc.record({ do: fc.constant("discard" as const), limit: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ do: fc.constant("resend" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (more) => {
      const steps: Step[] = [...BEGIN, ...more];
      await database.empty();
      /** Of each letter: open, resolved or discarded, and how often its record died. */
      const model = new Map<string, { state: string; attempts: number }>();
      const sent: SampleRecord[] = [];
      const underWay: RecordBatch[] = [];
      let isFixed = false;
      let nextId = 0;
      for (const next of steps) {
        if (next.do === "die") {
          const records = Array.from({ length: next.records }, () => ({ dataId: `d${++nextId}` }));
          sent.push(...records);
          const batch = sampleBatch({ records: records.map((record) => ({ ...record, ...DEAD })) });
          await writer.write([batch]);
          const batchId = Buffer.from(batch.batchId).toString("hex");
          for (const ordinal of records.keys())
            model.set(`${batchId}/${ordinal}`, { state: "open", attempts: 1 });
        } else if (next.do === "replay") {
          underWay.push(...(await collectReplay(letters, ALL, { limit: next.limit })).batches);
        } else if (next.do === "fix") {
          isFixed = !isFixed;
        } else if (next.do === "resend") {
          const record = sent[0];
          if (record !== undefined) await other.write([sampleBatch({ records: [record] })]);
        } else if (next.do === "discard") {
          const open = await letters.list(ALL, "open", { after: undefined, limit: next.limit });
          await letters.discard(ALL, { ...WHO, limit: next.limit });
          for (const { batchId, ordinal } of open)
            model.get(`${batchId.replaceAll("-", "")}/${ordinal}`)!.state = "discarded";
        } else {
          const group = underWay
            .splice(0, next.take)
            .map((batch) => enriched(batch, { dies: (index) => !isFixed && next.dies[index % 8]! }));
          if (group.length === 0) continue;
          await writer.write(next.again ? [...group, ...group] : group);
          if (next.again) await other.write(group);
          settleModel(model, group);
        }
      }
      await expectBalance();
      const { rows } = await client.query(
        "select encode(uuid_send(batch_id), 'hex') || '/' || ordinal as id, state, attempts from dead_letters",
      );
      expect(new Map(rows.map(({ id, state, attempts }) => [id, { state, attempts }]))).toEqual(model);
    }),
    { numRuns: PROPERTY_RUNS },
  );
}, 120_000);

/** Within a transaction those that land come first; a letter is open until then. */
function settleModel(
  model: Map<string, { state: string; attempts: number }>,
  group: readonly RecordBatch[],
): void {
  const records = group.flatMap((batch) => {
    const dead = new Set(batch.deadLabels.map(({ index }) => index));
    return batch.replayOrdinals.map((ordinal, index) => ({
      id: `${Buffer.from(batch.replayOf).toString("hex")}/${ordinal}`,
      dies: dead.has(index),
    }));
  });
  for (const { id, dies } of records.sort((a, b) => Number(a.dies) - Number(b.dies))) {
    const letter = model.get(id)!;
    if (letter.state !== "open") continue;
    if (dies) letter.attempts++;
    else letter.state = "resolved";
  }
}
