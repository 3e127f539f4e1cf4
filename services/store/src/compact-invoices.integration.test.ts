import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { sampleBatch } from "@chowhound/shared/testing/sample-batches";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type CompactOptions, compactInvoices } from "./compact-invoices.ts";
import { openTestDatabase, type TestDatabase } from "./database-for-test.ts";
import { examine, inShort } from "./ledger-for-test.ts";
import { PostgresLedger } from "./postgres-ledger.ts";
import type { PostgresWriter } from "./postgres-writer.ts";

const EPOCH = 5n;
const HOUR_MS = 3_600_000;
let database: TestDatabase;
let client: Client;
let writers: [PostgresWriter, PostgresWriter];
let ledger: PostgresLedger;

beforeAll(async () => {
  database = await openTestDatabase();
  ({ client, writers } = database);
  ledger = new PostgresLedger(database.options);
});
afterAll(() => database.drop());
beforeEach(() => database.empty());

async function connect(): Promise<Client> {
  const connected = new Client({ connectionString: database.options.url });
  connected.on("error", () => {});
  await connected.connect();
  return connected;
}

/** On a connection of its own, as the store does it. */
async function compact(options: Partial<CompactOptions> = {}): Promise<number> {
  const compactor = await connect();
  const signal = new AbortController().signal;
  try {
    return await compactInvoices(compactor, {
      keepMs: 0,
      keepNewest: 0,
      stepInvoices: 10,
      signal,
      log: database.options.log,
      ...options,
    });
  } finally {
    await compactor.end();
  }
}

function numbered(sequence: number, more: { acceptedAtUs?: number } = {}): RecordBatch {
  return sampleBatch({ records: [{}, {}], origin: { epoch: EPOCH, sequence: BigInt(sequence) }, ...more });
}

async function book(count: number, from = 1): Promise<RecordBatch[]> {
  const batches = Array.from({ length: count }, (_, i) => numbered(from + i));
  await writers[0].write(batches);
  return batches;
}

async function expectClosed(last: number, invoices = last): Promise<void> {
  const examined = await examine(ledger, { epoch: EPOCH, last: BigInt(last) });
  expect(examined.findings.map(inShort)).toEqual([]);
  expect(Number(examined.invoices)).toBe(invoices);
  expect(Number(examined.total.accepted)).toBe(2 * invoices);
}

const count = async (table: string): Promise<number> =>
  (await client.query(`select count(*)::int as n from ${table}`)).rows[0].n;

describe("compaction", () => {
  it("folds in steps, and the books stay closed", async () => {
    await book(35);
    expect(await compact()).toBe(35);
    expect(await count("invoices")).toBe(0);
    const { rows } = await client.query(
      "select through_seq, invoices, accepted, stored from compacted_invoices",
    );
    expect(rows).toEqual([{ through_seq: "35", invoices: "35", accepted: "70", stored: "70" }]);
    await expectClosed(35);
    await book(5, 36);
    await expectClosed(40);
    expect(await compact()).toBe(5);
    await expectClosed(40);
  });

  it("keeps what is young, and the newest whatever their age", async () => {
    await book(10);
    await client.query(
      "update invoices set booked_at = now() - interval '2 hours', accepted_at = now() - interval '2 hours' where raw_seq <= 6",
    );
    expect(await compact({ keepMs: HOUR_MS, keepNewest: 6 })).toBe(4);
    expect(await compact({ keepMs: HOUR_MS })).toBe(2);
    expect(await compact({ keepMs: HOUR_MS })).toBe(0);
    await expectClosed(10);
  });

  it.each([
    ["a gap", "delete from invoices where raw_seq = 5", 4],
    ["an unbalanced invoice", "update invoices set stored = 7 where raw_seq = 3", 2],
  ])("stops at %s, so that the audit goes on naming it", async (_, sql, folded) => {
    await book(8);
    await client.query(sql);
    const before = await examine(ledger, { epoch: EPOCH, last: 8n });
    expect(before.findingCount).toBeGreaterThan(0);
    expect(await compact()).toBe(folded);
    const after = await examine(ledger, { epoch: EPOCH, last: 8n });
    expect(after.findings.map(inShort)).toEqual(before.findings.map(inShort));
  });

  it("goes past what was written off", async () => {
    await writers[0].write([numbered(1), numbered(4)]);
    const raw = { epoch: EPOCH, last: 4n };
    const by = { note: "lost", writtenOffBy: "ada" };
    await ledger.writeOff({ epoch: EPOCH, first: 2n, last: 3n }, raw, by);
    expect(await compact()).toBe(2);
    await expectClosed(4, 2);
  });

  it("skips a folded batch that is delivered again", async () => {
    const batches = await book(4);
    await compact();
    const { outcomes } = await writers[1].write(batches);
    expect(outcomes.map(({ kind }) => kind)).toEqual(Array(4).fill("already_booked"));
    await expectClosed(4);
  });

  it("books another batch under a folded number: RAW was rewound, and it must not be lost", async () => {
    await book(4);
    await compact();
    const { outcomes } = await writers[0].write([numbered(3, { acceptedAtUs: Date.now() * 1000 + 5_000 })]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(["booked"]);
    const { findings } = await examine(ledger, { epoch: EPOCH, last: 4n });
    expect(findings.map(inShort)).toEqual(["number_reused 3: batches of a number 1/2"]);
  });

  it("waits for a booking that is under way, and the other way round", async () => {
    const batches = await book(3);
    const [writer] = writers;
    // Holds a booking between its claim and its commit.
    const holder = await connect();
    await holder.query("begin; lock table totals in exclusive mode");
    const booking = writer.write([numbered(4)]);
    await vi.waitFor(async () => {
      const { rows } = await client.query(
        "select from pg_stat_activity where wait_event_type = 'Lock' and query like '%into totals%'",
      );
      expect(rows).toHaveLength(1);
    });
    expect(await compact()).toBe(0);
    await holder.query("rollback");
    await holder.end();
    await booking;
    expect(await compact()).toBe(4);

    // A redelivery that begins while a step is under way sees what it has folded.
    await book(1, 5);
    const folder = await connect();
    await folder.query("begin");
    await folder.query("select pg_advisory_xact_lock($1)", [0x63686f78]);
    const redelivery = writer.write(batches);
    await folder.query("rollback");
    await folder.end();
    expect((await redelivery).outcomes.map(({ kind }) => kind)).toEqual(Array(3).fill("already_booked"));
    await expectClosed(5);
  });

  it("leaves the books as before a step or as after it when it is cut off", async () => {
    let cuts = 0;
    const cutting = (async () => {
      while (cuts < 3)
        await client.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like '%with folded as%' and pid <> pg_backend_pid()",
        );
    })();
    let booked = 0;
    while (cuts < 3) {
      await book(10, booked + 1);
      booked += 10;
      const before = cuts;
      await compact({ stepInvoices: 1 }).catch(() => cuts++);
      if (cuts > before) await expectClosed(booked);
    }
    await cutting;
    await compact();
    await expectClosed(booked);
  });

  it("loses and doubles nothing under load, with redeliveries and two compactors", async () => {
    const ROUNDS = 40;
    const isOver = new AbortController();
    const compacting = [0, 1].map(async () => {
      let folded = 0;
      while (!isOver.signal.aborted) folded += await compact({ stepInvoices: 7 });
      return folded;
    });
    let next = 1;
    const sent: RecordBatch[] = [];
    await Promise.all(
      writers.map(async (writer) => {
        for (let round = 0; round < ROUNDS; round++) {
          const fresh = Array.from({ length: 5 }, () => numbered(next++));
          // Some of them were written long ago, and some are being written by the other one.
          const copies = Array.from(
            { length: 3 },
            () => sent[Math.floor(Math.random() * sent.length)],
          ).filter((batch) => batch !== undefined);
          sent.push(...fresh);
          await writer.write([...fresh, ...copies]);
        }
      }),
    );
    isOver.abort();
    const folded = (await Promise.all(compacting)).reduce((sum, n) => sum + n, 0);
    expect(folded).toBeGreaterThan(0);
    await expectClosed(next - 1);
    expect(await compact()).toBe(next - 1 - folded);
    await expectClosed(next - 1);
    expect(await count("records")).toBe(2 * (next - 1));
  });
});
