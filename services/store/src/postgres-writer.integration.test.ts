import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { createLogger } from "@chowhound/shared/runtime/logger";
import { type SampleRecord, sampleBatch } from "@chowhound/shared/testing/sample-batches";
import { freshDatabase } from "@chowhound/shared/testing/test-servers";
import fc from "fast-check";
import { Client } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { dropForTest } from "./drop-for-test.ts";
import type { BatchOutcome } from "./ingestion-writer.ts";
import { PostgresSink } from "./postgres-sink.ts";
import { PostgresWriter } from "./postgres-writer.ts";
import { noVerdicts, sumVerdicts, type VerdictCounts } from "./verdict.ts";

const log = createLogger("test", "error");
let database: Awaited<ReturnType<typeof freshDatabase>>;
let client: Client;
let writer: PostgresWriter;

const writerOf = (lane: number): PostgresWriter =>
  new PostgresWriter({ url: database.url, statementTimeoutMs: 30_000, lane, log });
const at = (second: number): number => Date.UTC(2026, 0, 1, 0, 0, second) * 1000;

beforeAll(async () => {
  database = await freshDatabase();
  client = new Client({ connectionString: database.url });
  await client.connect();
  writer = writerOf(0);
  await writer.open();
});
afterAll(async () => {
  await writer.close();
  await client.end();
  await database.drop();
});
afterEach(async () => {
  // INV-1, after every test: each invoice is balanced, the totals agree with the invoices and the table with both.
  const { rows } = await client.query(`select
    (select count(*)::int from invoices where accepted <> stored + updated + unchanged + stale + duplicate + conflict + dead_lettered) as unbalanced,
    (select coalesce(sum(accepted), 0)::int from invoices) - (select coalesce(sum(accepted), 0)::int from totals) as accepted_difference,
    (select count(*)::int from records) - (select coalesce(sum(stored) - sum(deleted), 0)::int from totals) as row_difference,
    (select count(*)::int from dead_letters where state = 'open') - (select coalesce(sum(dead_lettered - reclaimed - discarded), 0)::int from totals) as dead_difference`);
  expect(rows[0]).toEqual({ unbalanced: 0, accepted_difference: 0, row_difference: 0, dead_difference: 0 });
});

function countsOf(outcome: BatchOutcome | undefined): Partial<VerdictCounts> {
  if (outcome?.kind !== "booked") throw new Error(`not booked: ${outcome?.kind}`);
  return Object.fromEntries(Object.entries(outcome.verdicts).filter(([, count]) => count > 0));
}

async function write(...batches: RecordBatch[]): Promise<Partial<VerdictCounts>[]> {
  const { outcomes } = await writer.write(batches);
  return outcomes.map(countsOf);
}

async function table(): Promise<Record<string, string>> {
  const { rows } = await client.query("select data_id, data from records order by 1");
  return Object.fromEntries(rows.map((row) => [row.data_id, row.data]));
}

/** A writer asks the table first, until a group of new keys lets it expect more of them. */
describe.each([
  ["asking for each key", false],
  ["expecting new keys", true],
])("PostgresWriter, %s", (_, expectsNew) => {
  beforeEach(async () => {
    if (expectsNew) {
      await writer.close();
      writer = writerOf(0);
      await writer.open();
      await write(sampleBatch({ records: [{}] }));
    }
    await client.query("truncate records, invoices, totals, dead_letters");
  });

  it("lands every field of a record", async () => {
    const batch = sampleBatch({
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      records: [
        {
          sourceType: "scan",
          sourceId: "probe é",
          dataId: "host/1",
          data: 'Grüße 👋\n\t"quoted" \\ back',
          metadata: { b: [1, 2.5, null, true, { ä: "ö" }], a: "x" },
          metadataType: "scan/1",
          lang: "de",
          attributes: { k: "v", "'": '"' },
          updatedAtUs: at(1) + 123_456,
          rawPayload: { content: Buffer.from([0, 255, 10]), contentType: "application/octet-stream" },
        },
      ],
    });
    expect(await write(batch)).toEqual([{ stored: 1 }]);
    const { rows } = await client.query("select *, updated_at::text as updated from records");
    expect(rows[0]).toMatchObject({
      tenant_id: "acme",
      source_type: "scan",
      source_id: "probe é",
      data_id: "host/1",
      data: 'Grüße 👋\n\t"quoted" \\ back',
      metadata: { a: "x", b: [1, 2.5, null, true, { ä: "ö" }] },
      metadata_type: "scan/1",
      lang: "de",
      attributes: { k: "v", "'": '"' },
      raw_payload: Buffer.from([0, 255, 10]),
      raw_content_type: "application/octet-stream",
      created_at: null,
      version_us: String(at(1) + 123_456),
      trace_id: "0af7651916cd43dd8448eb211c80319c",
    });
    expect(rows[0].updated).toMatch(/^2026-01-01 .*01\.123456/);
  });

  it("lays what a pipeline changed over the original", async () => {
    await write(
      sampleBatch({
        records: [
          {
            dataId: "as-sent",
            data: "mail me@example.org",
            rawPayload: { content: Buffer.from("secret"), contentType: "text/plain" },
            pipelineVersion: 7,
            enrichment: {
              dataId: "derived",
              data: "mail …",
              metadataJson: '{"x":1}',
              lang: "en",
              attributesJson: '{"a":"b"}',
              dropRawPayload: true,
            },
          },
        ],
      }),
    );
    const { rows } = await client.query("select * from records");
    expect(rows[0]).toMatchObject({
      data_id: "derived",
      data: "mail …",
      metadata: { x: 1 },
      lang: "en",
      attributes: { a: "b" },
      raw_payload: null,
      pipeline_version: "7",
    });
  });

  it("gives each verdict for its reason", async () => {
    const uuid = "0198c0de-0000-7000-8000-000000000001";
    const first: SampleRecord = { dataId: "a", data: "one", updatedAtUs: at(1), uuid };
    expect(await write(sampleBatch({ records: [first] }))).toEqual([{ stored: 1 }]);
    expect(await write(sampleBatch({ records: [first] }))).toEqual([{ unchanged: 1 }]);
    expect(await write(sampleBatch({ records: [{ ...first, updatedAtUs: at(2) }] }))).toEqual([
      { unchanged: 1 },
    ]);
    expect(await write(sampleBatch({ records: [{ ...first, data: "two", updatedAtUs: at(3) }] }))).toEqual([
      { updated: 1 },
    ]);
    expect(await write(sampleBatch({ records: [first] }))).toEqual([{ stale: 1 }]);
    expect(await write(sampleBatch({ records: [{ ...first, dataId: "b" }] }))).toEqual([{ conflict: 1 }]);
    expect(await table()).toEqual({ a: "two" });
  });

  it("INV-3: writes a batch once, however often it comes, also twice in one group", async () => {
    const batch = sampleBatch({ records: [{}, {}, {}] });
    const { outcomes } = await writer.write([batch, batch]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(["booked", "already_booked"]);
    expect((await writer.write([batch])).outcomes[0]?.kind).toBe("already_booked");
    expect(Object.keys(await table())).toHaveLength(3);
  });

  it("settles repeats of a key within a group", async () => {
    const version = (second: number, data: string): SampleRecord => ({
      dataId: "k",
      data,
      updatedAtUs: at(second),
    });
    const counts = await write(
      sampleBatch({ records: [version(1, "a"), version(3, "c"), version(2, "b")] }),
      sampleBatch({ records: [version(3, "c")] }),
    );
    expect(counts).toEqual([{ stored: 1, stale: 2 }, { unchanged: 1 }]);
    expect(await table()).toEqual({ k: "c" });
  });

  it("decides record by record where one uuid comes under two keys, with everything else unharmed", async () => {
    const uuid = "0198c0de-0000-7000-8000-00000000000a";
    const many = Array.from({ length: 50 }, (): SampleRecord => ({}));
    const counts = await write(
      sampleBatch({ records: [...many, { dataId: "x", uuid }, { dataId: "y", uuid }] }),
    );
    expect(counts).toEqual([{ stored: 51, conflict: 1 }]);
    expect(await write(sampleBatch({ records: [{ dataId: "z", uuid }, { dataId: "w" }] }))).toEqual([
      { stored: 1, conflict: 1 },
    ]);
    const { rows } = await client.query("select data_id from records where uuid = $1", [uuid]);
    expect(rows).toEqual([{ data_id: "x" }]);
  });

  it("lands the corrected twin of a conflict", async () => {
    const uuid = "0198c0de-0000-7000-8000-00000000000b";
    await write(sampleBatch({ records: [{ dataId: "x", uuid }] }));
    expect(await write(sampleBatch({ records: [{ dataId: "y", uuid, data: "mine" }] }))).toEqual([
      { conflict: 1 },
    ]);
    expect(await write(sampleBatch({ records: [{ dataId: "y", data: "mine" }] }))).toEqual([{ stored: 1 }]);
  });

  it("tells a corrected raw payload from what it corrects", async () => {
    const payload = (text: string): SampleRecord => ({
      dataId: "p",
      updatedAtUs: at(1),
      rawPayload: { content: Buffer.from(text), contentType: "text/plain" },
    });
    expect(await write(sampleBatch({ records: [payload("AAA"), payload("BBB")] }))).not.toEqual([
      { stored: 1, unchanged: 1 },
    ]);
    const first = (await client.query("select raw_payload from records")).rows;
    await client.query("truncate records, invoices, totals");
    await write(sampleBatch({ records: [payload("BBB")] }), sampleBatch({ records: [payload("AAA")] }));
    expect((await client.query("select raw_payload from records")).rows).toEqual(first);
  });

  it("does not confuse the uuids of two tenants", async () => {
    const uuid = "0198c0de-0000-7000-8000-00000000000c";
    const records = [
      { tenantId: "acme", dataId: "x", uuid },
      { tenantId: "globex", dataId: "y", uuid },
    ];
    expect(await write(sampleBatch({ records }))).toEqual([{ stored: 2 }]);
  });

  it("calls it a conflict when a uuid is a row of another source under the same data_id, whatever comes with it", async () => {
    const uuid = "0198c0de-0000-7000-8000-00000000000e";
    const taken: SampleRecord = { dataId: "x", uuid, updatedAtUs: at(1) };
    const usurper: SampleRecord = { ...taken, sourceId: "elsewhere" };
    await write(
      sampleBatch({ records: [taken, { dataId: "y", sourceId: "elsewhere", updatedAtUs: at(1) }] }),
    );
    const late: SampleRecord = { ...usurper, dataId: "y", updatedAtUs: at(0) };
    expect(await write(sampleBatch({ records: [late] }))).toEqual([{ conflict: 1 }]);
    const twin: SampleRecord = { ...usurper, dataId: "x", updatedAtUs: at(2) };
    expect(await write(sampleBatch({ records: [{ ...twin, updatedAtUs: at(1) }, twin] }))).toEqual([
      { conflict: 2 },
    ]);
  });

  it("lands what is new among what is there, in one group and in several", async () => {
    const version = (dataId: string, second: number): SampleRecord => ({
      dataId,
      data: `${dataId} at ${second}`,
      updatedAtUs: at(second),
    });
    const group = (second: number, ...dataIds: string[]) =>
      sampleBatch({ records: dataIds.map((dataId) => version(dataId, second)) });
    expect(await write(group(2, "b", "d"), group(2, "a"))).toEqual([{ stored: 2 }, { stored: 1 }]);
    expect(await write(group(3, "c", "b"), group(1, "a", "e"))).toEqual([
      { stored: 1, updated: 1 },
      { stored: 1, stale: 1 },
    ]);
    expect(await write(group(1, "f", "g", "f"))).toEqual([{ stored: 2, unchanged: 1 }]);
    expect(await table()).toEqual({
      a: "a at 2",
      b: "b at 3",
      c: "c at 3",
      d: "d at 2",
      e: "e at 1",
      f: "f at 1",
      g: "g at 1",
    });
  });

  it("moves a row when a newer pipeline derives another key", async () => {
    const uuid = "0198c0de-0000-7000-8000-00000000000d";
    const base: SampleRecord = { dataId: "raw", uuid, updatedAtUs: at(1), data: "same" };
    await write(sampleBatch({ records: [base] }));
    const moved = sampleBatch({
      records: [{ ...base, pipelineVersion: 2, enrichment: { dataId: "derived" } }],
    });
    expect(await write(moved)).toEqual([{ updated: 1 }]);
    expect(await table()).toEqual({ derived: "same" });
    expect(await write(sampleBatch({ records: [base] }))).toEqual([{ stale: 1 }]);
  });

  it("reports nothing committed where a row has moved, and is another database to dedup from then on", async () => {
    const sink = new PostgresSink({ url: database.url, statementTimeoutMs: 30_000, readers: 1, log });
    const report = async (...records: SampleRecord[]) => {
      const batch = sampleBatch({ records });
      const { generation, outcomes } = await writer.write([batch]);
      const [outcome] = outcomes;
      if (outcome?.kind !== "booked") throw new Error("not booked");
      return {
        generation,
        batchId: batch.batchId,
        fingerprints: outcome.committedFingerprints.length / 16,
      };
    };
    try {
      const old: SampleRecord = { dataId: "shared", data: "old", updatedAtUs: at(1), pipelineVersion: 2 };
      const uuid = "0198c0de-0000-7000-8000-0000000000a1";
      const younger: SampleRecord = { dataId: "shared", data: "young", updatedAtUs: at(2), uuid };
      const first = await report({ ...younger, pipelineVersion: 1 });
      const superseded = await report(old);
      expect([first, superseded]).toMatchObject([{ fingerprints: 1 }, { fingerprints: 1 }]);
      expect(await sink.confirm([first, superseded])).toMatchObject({ allBooked: true });

      const moved = await report(
        { ...younger, pipelineVersion: 2, enrichment: { dataId: "apart" } },
        { dataId: "neighbour" },
      );
      expect(moved.fingerprints).toBe(0);
      expect(moved.generation).not.toBe(superseded.generation);
      // So dedup forgets that it knew the record that had been replaced; sent again, it is the row.
      expect(await sink.confirm([superseded])).toEqual({ generation: moved.generation, allBooked: false });
      const again = await report(old);
      expect(await sink.confirm([again])).toEqual({ generation: moved.generation, allBooked: true });
      expect(await table()).toMatchObject({ shared: "old", apart: "young" });
    } finally {
      await sink.close();
    }
  });

  describe("INV-4: moves the row of a record that is not the newest under its new key", () => {
    const uuid = (n: number) => `0198c0de-0000-7000-8000-0000000000f${n}`;
    const older: SampleRecord = { dataId: "a", uuid: uuid(1), updatedAtUs: at(1), data: "older" };
    const newer: SampleRecord = { dataId: "b", uuid: uuid(2), updatedAtUs: at(2), data: "newer" };
    const derived = (record: SampleRecord): SampleRecord => ({
      ...record,
      pipelineVersion: 2,
      enrichment: { dataId: "derived" },
    });

    it("where the newer one comes in the same group", async () => {
      await write(sampleBatch({ records: [older] }));
      expect(await write(sampleBatch({ records: [derived(older), derived(newer)] }))).toEqual([
        { updated: 2 },
      ]);
      expect(await table()).toEqual({ derived: "newer" });
    });

    it("where the newer one is the row", async () => {
      await write(sampleBatch({ records: [older, derived(newer)] }));
      expect(await write(sampleBatch({ records: [derived(older)] }))).toEqual([{ stale: 1 }]);
      expect(await table()).toEqual({ derived: "newer" });
    });
  });

  it("INV-5: isolates the rows that the database refuses, wherever they stand", async () => {
    await client.query("alter table records add constraint no_poison check (data <> 'poison')");
    try {
      const records = Array.from(
        { length: 1000 },
        (_, i): SampleRecord => ({ dataId: `r${i}`, data: i === 333 || i === 999 ? "poison" : "fine" }),
      );
      expect(await write(sampleBatch({ records }), sampleBatch({ records: [{}] }))).toEqual([
        { stored: 998, dead_lettered: 2 },
        { stored: 1 },
      ]);
      const { rows } = await client.query(
        "select ordinal, stage, reason, detail, data_id, original from dead_letters order by ordinal",
      );
      expect(
        rows.map(({ ordinal, stage, reason, data_id }) => ({ ordinal, stage, reason, data_id })),
      ).toEqual([
        { ordinal: 333, stage: "store", reason: "value_refused_by_database", data_id: "r333" },
        { ordinal: 999, stage: "store", reason: "value_refused_by_database", data_id: "r999" },
      ]);
      expect(rows[0].detail).toContain("no_poison");
      expect(rows[0].detail).not.toContain("fine");
      expect(rows[0].original.includes("poison")).toBe(true);
    } finally {
      await client.query("alter table records drop constraint no_poison");
    }
  });

  it("lands the greatest healthy record of a key whose greatest is refused", async () => {
    await client.query("alter table records add constraint no_poison check (data <> 'poison')");
    try {
      const records = [
        { dataId: "k", data: "fine", updatedAtUs: at(1) },
        { dataId: "k", data: "poison", updatedAtUs: at(2) },
      ];
      expect(await write(sampleBatch({ records }))).toEqual([{ stored: 1, dead_lettered: 1 }]);
      expect(await table()).toEqual({ k: "fine" });
    } finally {
      await client.query("alter table records drop constraint no_poison");
    }
  });

  it("keeps what the enricher labelled dead, whole", async () => {
    const counts = await write(
      sampleBatch({
        records: [{}, { data: "broken", dead: { reason: "map_failed", detail: "no such field" } }],
      }),
    );
    expect(counts).toEqual([{ stored: 1, dead_lettered: 1 }]);
    const { rows } = await client.query("select * from dead_letters");
    expect(rows[0]).toMatchObject({
      stage: "enricher",
      reason: "map_failed",
      detail: "no such field",
      ordinal: 1,
      tenant_id: "acme",
    });
    expect(rows[0].original.includes("broken")).toBe(true);
  });

  it("keeps the dead letters of two batches that came under one number", async () => {
    const origin = { epoch: 7n, sequence: 7n };
    const dead = { reason: "map_failed" };
    const [a, b, c] = [1, 2, 3].map(() => sampleBatch({ origin, records: [{ dead }] }));
    expect(await write(a!, b!)).toEqual([{ dead_lettered: 1 }, { dead_lettered: 1 }]);
    expect(await write(c!)).toEqual([{ dead_lettered: 1 }]);
    expect((await client.query("select from dead_letters")).rowCount).toBe(3);
  });

  it("INV-5: keeps a record whole that it can't read, and lands its neighbours", async () => {
    const batch = sampleBatch({ records: [{}, {}, {}] });
    batch.originals[1] = Buffer.from("3a03ffffff", "hex");
    expect(await write(batch)).toEqual([{ stored: 2, dead_lettered: 1 }]);
    const { rows } = await client.query("select stage, reason, original from dead_letters");
    expect(rows).toEqual([
      { stage: "store", reason: "undecodable_record", original: Buffer.from("3a03ffffff", "hex") },
    ]);
  });

  it("books what dedup dropped", async () => {
    const batch = sampleBatch({ records: [{}] });
    batch.acceptedCount = 4;
    batch.dropped = [
      {
        $typeName: "chowhound.internal.v1.DroppedCount",
        tenantId: "acme",
        sourceType: "forum",
        sourceId: "town-square",
        count: 3,
      },
    ];
    expect(await write(batch)).toEqual([{ stored: 1, duplicate: 3 }]);
  });

  it("changes nothing when a write fails after the rows", async () => {
    const batch = sampleBatch({ records: [{}] });
    batch.acceptedCount = 2;
    await expect(writer.write([batch])).rejects.toThrow(/1 verdicts for 2 accepted/);
    expect(await table()).toEqual({});
    expect((await client.query("select from invoices")).rowCount).toBe(0);
  });

  it("reports fingerprints of what is committed, and only of that", async () => {
    const uuid = "0198c0de-0000-7000-8000-00000000000e";
    await write(sampleBatch({ records: [{ dataId: "taken", uuid }] }));
    const batch = sampleBatch({
      records: [{}, { dataId: "other", uuid }, { dead: { reason: "map_failed" } }],
    });
    const { outcomes } = await writer.write([batch]);
    expect(outcomes[0]).toMatchObject({
      committedFingerprints: Buffer.from(batch.fingerprints.subarray(0, 16)),
      committedOrdinals: [0],
    });
  });

  it("says of which records of a batch they are, also where others were dropped before", async () => {
    const batch = sampleBatch({ records: [{}, {}, {}] });
    expect((await writer.write([batch])).outcomes[0]).toMatchObject({ committedOrdinals: [] });
    const reduced = dropForTest(
      sampleBatch({ records: [{}, {}, {}, { dead: { reason: "map_failed" } }] }),
      [1],
    );
    const { outcomes } = await writer.write([reduced]);
    expect(outcomes[0]).toMatchObject({
      committedFingerprints: Buffer.from(reduced.fingerprints.subarray(0, 32)),
      committedOrdinals: [0, 2],
    });
    const empty = dropForTest(sampleBatch({ records: [{}, {}] }), [0, 1]);
    expect((await writer.write([empty])).outcomes[0]).toMatchObject({
      committedFingerprints: Buffer.of(),
      committedOrdinals: [],
    });
  });

  it("names another generation when the tables are others", async () => {
    const before = (await writer.write([sampleBatch({ records: [{}] })])).generation;
    expect((await writer.write([sampleBatch({ records: [{}] })])).generation).toBe(before);
    await client.query("truncate records, totals, invoices");
    expect((await writer.write([sampleBatch({ records: [{}] })])).generation).not.toBe(before);
  });

  it("lets two writers work on the same keys at once", async () => {
    const other = writerOf(1);
    await other.open();
    try {
      const totals = noVerdicts();
      const count = (outcomes: BatchOutcome[]): void => {
        for (const outcome of outcomes)
          if (outcome.kind === "booked")
            for (const [verdict, n] of Object.entries(outcome.verdicts))
              totals[verdict as keyof VerdictCounts] += n;
      };
      // Each round: the same 200 keys from both sides, in other orders, newer every time.
      for (let round = 1; round <= 10; round++) {
        const records = Array.from(
          { length: 200 },
          (_, i): SampleRecord => ({
            dataId: `k${i}`,
            data: `round ${round}`,
            updatedAtUs: at(round),
            uuid: `0198c0de-0000-7000-8000-${String(i).padStart(12, "0")}`,
          }),
        );
        const results = await Promise.all([
          writer.write([sampleBatch({ records })]),
          other.write([sampleBatch({ records: [...records].reverse() })]),
        ]);
        for (const { outcomes } of results) count(outcomes);
      }
      expect(sumVerdicts(totals)).toBe(4000);
      expect(totals.stored).toBe(200);
      expect(totals.updated).toBe(1800);
      expect(totals.unchanged).toBe(2000);
      expect(new Set(Object.values(await table()))).toEqual(new Set(["round 10"]));
    } finally {
      await other.close();
    }
  });

  it("INV-4: ends in the same table in any order, grouping and repetition", async () => {
    const arbitraryRecord = fc
      .record({
        key: fc.integer({ min: 1, max: 5 }),
        version: fc.integer({ min: 1, max: 5 }),
        content: fc.integer({ min: 1, max: 3 }),
        pipeline: fc.integer({ min: 0, max: 1 }),
      })
      .map(
        ({ key, version, content, pipeline }): SampleRecord => ({
          dataId: `k${key}`,
          uuid: `0198c0de-0000-7000-8000-00000000010${key}`,
          data: `content ${content}`,
          updatedAtUs: at(version),
          pipelineVersion: pipeline,
        }),
      );
    const scenario = fc.array(arbitraryRecord, { minLength: 1, maxLength: 15 }).chain((records) =>
      fc.record({
        records: fc.constant(records),
        shuffled: fc.shuffledSubarray([...records, ...records], { minLength: records.length * 2 }),
        batchSize: fc.integer({ min: 1, max: 7 }),
        groupSize: fc.integer({ min: 1, max: 4 }),
      }),
    );
    const contents = async (): Promise<unknown[]> =>
      (
        await client.query(
          "select data_id, data, version_us, pipeline_version, uuid from records order by data_id",
        )
      ).rows;
    const chunks = <T>(items: readonly T[], size: number): T[][] =>
      Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
    await fc.assert(
      fc.asyncProperty(scenario, async ({ records, shuffled, batchSize, groupSize }) => {
        await client.query("truncate records, invoices, totals, dead_letters");
        await writer.write([sampleBatch({ records })]);
        const expected = await contents();
        await client.query("truncate records, invoices, totals, dead_letters");
        const batches = chunks(shuffled, batchSize).map((part) => sampleBatch({ records: part }));
        let sum = 0;
        for (const group of chunks(batches, groupSize))
          for (const outcome of (await writer.write(group)).outcomes)
            if (outcome.kind === "booked") sum += sumVerdicts(outcome.verdicts);
        expect(sum).toBe(shuffled.length);
        expect(await contents()).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });
});
