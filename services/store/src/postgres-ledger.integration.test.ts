import { readFileSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import {
  RawOriginSchema,
  type RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { createLogger } from "@chowhound/shared/runtime/logger";
import { type SampleRecord, sampleBatch } from "@chowhound/shared/testing/sample-batches";
import fc from "fast-check";
import type { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { compactInvoices } from "./compact-invoices.ts";
import { openTestDatabase, type TestDatabase } from "./database-for-test.ts";
import type { Examination } from "./ledger.ts";
import { examine, inShort } from "./ledger-for-test.ts";
import { PostgresLedger } from "./postgres-ledger.ts";
import type { PostgresWriter } from "./postgres-writer.ts";

const EPOCH = 5n;
const DEAD: SampleRecord = { tenantId: "globex", dead: { reason: "map_failed" } };
/** Whatever its age. */
const AT_ONCE = {
  keepMs: 0,
  keepNewest: 0,
  signal: new AbortController().signal,
  log: createLogger("test", "error"),
};
const BY = { note: "sent again", writtenOffBy: "ada" };
const NUMBERS = 6;
let database: TestDatabase;
let client: Client;
let writer: PostgresWriter;
let ledger: PostgresLedger;

beforeAll(async () => {
  database = await openTestDatabase();
  ({
    client,
    writers: [writer],
  } = database);
  ledger = new PostgresLedger(database.options);
});
afterAll(async () => {
  await database.drop();
});
beforeEach(() => database.empty());

function numbered(sequence: number, records: readonly SampleRecord[] = [{}], epoch = EPOCH): RecordBatch {
  return sampleBatch({ records, origin: { epoch, sequence: BigInt(sequence) } });
}

/** The same batch under another number. */
function again(batch: RecordBatch, sequence: number): RecordBatch {
  return { ...batch, origin: { ...batch.origin!, sequence: BigInt(sequence) } };
}

/** Numbers 1 to 6, each with a row of acme; 3 has a dead letter of globex, too. */
async function book(): Promise<RecordBatch[]> {
  const batches = Array.from({ length: NUMBERS }, (_, i) => numbered(i + 1, i === 2 ? [{}, DEAD] : [{}]));
  await writer.write(batches);
  return batches;
}

const audit = (last = NUMBERS, rawLast = last): Promise<Examination> =>
  examine(ledger, { epoch: EPOCH, last: BigInt(last) }, { epoch: EPOCH, last: BigInt(rawLast) });

const findings = async (last?: number, rawLast?: number): Promise<string[]> =>
  (await audit(last, rawLast)).findings.map(inShort);

const writeOff = (first: number, last: number, raw = NUMBERS) =>
  ledger.writeOff(
    { epoch: EPOCH, first: BigInt(first), last: BigInt(last) },
    { epoch: EPOCH, last: BigInt(raw) },
    BY,
  );

describe("the books", () => {
  it("are closed where all is as it was booked, and the balance says what became of it", async () => {
    await book();
    const { total, balances, findings, invoices } = await audit();
    expect(findings).toEqual([]);
    expect(invoices).toBe(6n);
    expect(balances).toMatchObject([
      { tenantId: "acme", accepted: 6n, stored: 6n, rows: 6n, openDeadLetters: 0n },
      { tenantId: "globex", accepted: 1n, stored: 0n, rows: 0n, dead_lettered: 1n, openDeadLetters: 1n },
    ]);
    expect(total).toMatchObject({ tenantId: "", accepted: 7n, stored: 6n, rows: 6n, openDeadLetters: 1n });
  });

  it("are closed while nothing was ever accepted", async () => {
    expect(await findings(0)).toEqual([]);
  });

  it("are closed under load: what was given out later doesn't matter yet", async () => {
    await book();
    await writer.write([numbered(9)]);
    expect(await findings(6, 12)).toEqual([]);
  });

  it("are closed where a replay's copy came later than what is audited", async () => {
    const batches = await book();
    const replay = { ...numbered(7), replayOf: batches[0]!.batchId, replayOrdinals: [0] };
    await writer.write([replay, again(replay, 10)]);
    expect(await findings(6, 12)).toEqual([]);
  });

  it("have no further gap where numbers were written off that a rewound RAW has yet to give out again", async () => {
    await book();
    await writeOff(9, 10, 12);
    expect(await findings(6, 6)).toEqual([]);
  });

  it.each<[string, string, string[]]>([
    [
      "a lost batch",
      "delete from invoices where raw_seq = 2",
      ["number_missing 2: batches 1/0", "totals_differ: accepted 6/7"],
    ],
    [
      "an invoice's count that was changed",
      "update invoices set stored = stored + 1 where raw_seq = 4",
      ["invoice_unbalanced 4: verdicts 1/2", "totals_differ: stored 7/6"],
    ],
    [
      "an invoice's counts that were changed so that they balance",
      "update invoices set stored = 0, stale = 1 where raw_seq = 4",
      ["totals_differ: stored 5/6", "totals_differ: stale 1/0"],
    ],
    [
      "a total that was changed",
      "update totals set stored = stored + 2 where tenant_id = 'acme'",
      [
        "totals_unbalanced acme forum/town-square: verdicts 6/8",
        "totals_differ: stored 6/8",
        "rows_differ acme forum/town-square: rows 8/6",
      ],
    ],
    [
      "a row that was deleted",
      "delete from records where ctid = (select ctid from records limit 1)",
      ["rows_differ acme forum/town-square: rows 6/5"],
    ],
    [
      "a row that was added",
      "insert into records select 'globex', source_type, 'other', data_id, uuid, version_us, content_hash, pipeline_version, data, metadata, metadata_type, lang, attributes, raw_payload, raw_content_type, created_at, updated_at, accepted_at, batch_id, receipt_id, trace_id from records limit 1",
      ["rows_differ globex forum/other: rows 0/1"],
    ],
    [
      "a dead letter that was deleted",
      "delete from dead_letters",
      ["letters_differ globex: open dead letters 1/0"],
    ],
    [
      "a tenant's totals that were deleted",
      "delete from totals where tenant_id = 'globex'",
      [
        "totals_differ: accepted 7/6",
        "totals_differ: dead_lettered 1/0",
        "letters_differ globex: open dead letters 0/1",
      ],
    ],
  ])("name %s", async (_, sql, expected) => {
    await book();
    await client.query(sql);
    expect(await findings()).toEqual(expect.arrayContaining(expected));
  });

  it("name the start of the numbers, too, where the database is younger than RAW", async () => {
    await writer.write([numbered(4), numbered(5), numbered(6)]);
    expect(await findings()).toEqual(["number_missing 1-3: batches 3/0"]);
  });

  it("name a batch that was fed in twice", async () => {
    const [first, second] = [numbered(1), numbered(2)];
    await writer.write([first, second, again(first, 3)]);
    await writer.write([again(second, 4), again(second, 4)]);
    expect(await findings(4)).toEqual([
      "batch_repeated 3: numbers of the batch 1/2",
      "batch_repeated 4: numbers of the batch 1/2",
    ]);
    // Delivered again under its own number it is none.
    await writer.write([first]);
    expect((await audit(4)).findingCount).toBe(2);
  });

  it("name numbers that RAW gave out twice, or has not given out yet", async () => {
    await book();
    await writer.write([numbered(4), numbered(5)]);
    expect(await findings(5)).toEqual([
      "number_reused 4-5: batches of a number 1/2",
      "number_ahead 6: last number 5/6",
    ]);
  });

  it("name what is missing of an epoch that has ended", async () => {
    await writer.write([1, 3, 4].map((sequence) => numbered(sequence, [{}], EPOCH - 1n)));
    await book();
    expect(await findings()).toEqual(["number_missing 2: batches 1/0"]);
  });

  it("name what an epoch that has ended gave out last and was never booked, also in part written off", async () => {
    await book();
    const ended = EPOCH - 1n;
    expect(await ledger.noteGiven({ epoch: ended, last: 3n })).toBe(3n);
    // Booked since, and a late look.
    await writer.write([1, 2, 4].map((sequence) => numbered(sequence, [{}], ended)));
    expect(await ledger.noteGiven({ epoch: ended, last: 2n })).toBe(4n);
    await ledger.noteGiven({ epoch: ended, last: 9n });
    expect(await findings()).toEqual(["number_missing 3: batches 1/0", "number_missing 5-9: batches 5/0"]);
    const range = { epoch: ended, first: 5n, last: 8n };
    expect(await ledger.writeOff(range, { epoch: EPOCH, last: 6n }, BY)).toMatchObject({
      reason: "number_missing",
    });
    expect(await findings()).toEqual(["number_missing 3: batches 1/0", "number_missing 9: batches 1/0"]);
  });

  it("name numbers that RAW gives out again, though nothing was booked under them the first time", async () => {
    await writer.write([numbered(1), numbered(2), numbered(3)]);
    await ledger.noteGiven({ epoch: EPOCH, last: 10n });
    expect(await findings(3)).toEqual(["number_ahead 4-10: last number 3/10"]);
    await ledger.noteRewind({ epoch: EPOCH, first: 4n, last: 10n });
    expect(await findings(3)).toEqual(["number_ahead 4-10: last number 3/10"]);
    await writer.write([numbered(4), numbered(5)]);
    expect(await findings(5)).toEqual([
      "number_reused 4-5: batches of a number 1/2",
      "number_ahead 6-10: last number 5/10",
    ]);
    expect(await writeOff(4, 7, 5)).toMatchObject({ reason: "number_reused" });
    expect(await findings(5)).toEqual(["number_ahead 8-10: last number 5/10"]);
    await writer.write([6, 7, 8, 9, 10, 11].map((sequence) => numbered(sequence)));
    expect(await findings(11)).toEqual(["number_reused 8-10: batches of a number 1/2"]);
    await compactInvoices(client, AT_ONCE);
    expect(await findings(11)).toEqual(["number_reused 8-10: batches of a number 1/2"]);
    await writeOff(8, 10, 11);
    expect(await findings(11)).toEqual([]);
  });

  it("hear from a batch that its gateway had been given the number before", async () => {
    const told = (sequence: number, acknowledged: number, epoch = EPOCH): RecordBatch => ({
      ...numbered(sequence),
      acknowledged: create(RawOriginSchema, { epoch, sequence: BigInt(acknowledged) }),
    });
    // Of another incarnation, and one after the other.
    await writer.write([told(1, 8, EPOCH - 1n), told(2, 0), told(3, 2)]);
    expect(await findings(3)).toEqual([]);
    const second = told(4, 6);
    await writer.write([second]);
    await writer.write([second]);
    expect(await findings(4)).toEqual([
      "number_reused 4: batches of a number 1/2",
      "number_ahead 5-6: last number 4/6",
    ]);
    await writer.write([told(5, 6), told(6, 6), told(7, 6)]);
    expect(await findings(7)).toEqual(["number_reused 4-6: batches of a number 1/2"]);
  });

  it("balance what came from elsewhere than RAW, and look for no numbers there", async () => {
    await book();
    await writer.write([numbered(77, [DEAD], -3n)]);
    expect(await findings()).toEqual([]);
    await client.query("update invoices set stored = 9 where epoch = -3");
    expect(await findings()).toEqual(["invoice_unbalanced 77: verdicts 1/10", "totals_differ: stored 15/6"]);
  });

  it("don't judge an epoch that began while the audit was waiting", async () => {
    await book();
    await writer.write([numbered(3, [{}], EPOCH + 1n)]);
    const mark = { epoch: EPOCH, last: BigInt(NUMBERS) };
    expect((await examine(ledger, mark, { epoch: EPOCH + 1n, last: 9n })).findings).toEqual([]);
  });

  it("name every hole, whatever is booked, repeated, written off and folded", async () => {
    const last = 12;
    const number = fc.integer({ min: 1, max: last });
    const numbers = fc.uniqueArray(number);
    await fc.assert(
      fc.asyncProperty(
        fc.record({ booked: numbers, repeated: numbers, writtenOff: number, isFolded: fc.boolean() }),
        async ({ booked, repeated, writtenOff, isFolded }) => {
          await database.empty();
          await client.query(
            `insert into invoices (batch_id, epoch, raw_seq, accepted_at, accepted)
             select gen_random_uuid(), $1, n, now(), 0 from unnest($2::int[]) n`,
            [EPOCH, booked],
          );
          const copies = repeated.filter((n) => !booked.includes(n));
          await client.query(
            "insert into invoice_repeats select $1, n, gen_random_uuid(), $1, 1, true from unnest($2::int[]) n",
            [EPOCH, copies],
          );
          const holes = new Set(Array.from({ length: last }, (_, i) => i + 1));
          for (const n of [...booked, ...copies]) holes.delete(n);
          if (holes.delete(writtenOff)) await writeOff(writtenOff, writtenOff, last);
          if (isFolded) await compactInvoices(client, { ...AT_ONCE, stepInvoices: 2 });
          const found = (await audit(last)).findings.flatMap(({ reason, first, last }): unknown[] =>
            reason === "number_missing"
              ? Array.from({ length: Number(last! - first!) + 1 }, (_, i) => Number(first) + i)
              : [reason],
          );
          expect(found).toEqual([...holes]);
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("docs/audit.md", () => {
  it("deletes and books rows in a way that the books stay closed, and its queries run", async () => {
    const old = { sourceType: "note", sourceId: "old" };
    await writer.write([numbered(1, [old, old, {}])]);
    const page = readFileSync(new URL("../../../docs/audit.md", import.meta.url), "utf8");
    const [deletion, perHour, ...more] = [...page.matchAll(/^```sql\n(.*?)^```/gms)].map(([, sql]) => sql!);
    expect(more).toEqual([]);
    for (let times = 0; times < 2; times++) {
      await client.query(deletion!);
      const { findings, total } = await audit(1);
      expect(findings).toEqual([]);
      expect(total).toMatchObject({ rows: 1n, deleted: 2n });
    }
    expect((await client.query(perHour!)).rows).toMatchObject([{ tenant_id: "acme", accepted: "3" }]);
  });
});

describe("a write-off", () => {
  it("of missing numbers closes the books, and stays in sight", async () => {
    await writer.write([numbered(1), numbered(5)]);
    expect(await findings(7)).toEqual(["number_missing 2-4: batches 3/0", "number_missing 6-7: batches 2/0"]);
    await writeOff(2, 3, 7);
    expect(await findings(7)).toEqual(["number_missing 4: batches 1/0", "number_missing 6-7: batches 2/0"]);
    await writeOff(4, 4, 7);
    await writeOff(6, 7, 7);
    const { findings: left, writeOffs } = await audit(7);
    expect(left).toEqual([]);
    expect(writeOffs).toMatchObject([
      { reason: "number_missing", epoch: EPOCH, first: 6n, last: 7n, ...BY },
      { first: 4n, last: 4n },
      { first: 2n, last: 3n },
    ]);
    // It says nothing of what is lost later.
    expect(await findings(8)).toEqual(["number_missing 8: batches 1/0"]);
  });

  it("of repeats and of numbers that were given out twice closes the books", async () => {
    const batches = await book();
    await writer.write([again(batches[0]!, 7), numbered(5)]);
    expect(await findings(7)).toHaveLength(2);
    expect(await writeOff(7, 7, 7)).toMatchObject({ reason: "batch_repeated" });
    expect(await writeOff(5, 5, 7)).toMatchObject({ reason: "number_reused" });
    expect(await findings(7)).toEqual([]);
    expect(await findings(5)).toEqual(["number_ahead 6-7: last number 5/7"]);
    expect(await writeOff(6, 7, 5)).toMatchObject({ reason: "number_reused" });
    expect(await findings(5)).toEqual([]);
  });

  it.each([
    ["a number with which nothing is wrong", 3, 3],
    ["numbers of which one is booked", 2, 3],
    ["a number that RAW has not given out", 8, 8],
    ["numbers of which RAW has not given out the last", 7, 8],
  ])("of %s is refused", async (_, first, last) => {
    await writer.write([1, 3, 4, 5, 6].map((sequence) => numbered(sequence)));
    await expect(writeOff(first, last, 7)).rejects.toMatchObject({ reason: "write_off_refused" });
    expect((await audit(6)).writeOffs).toEqual([]);
  });
});
