import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";

/** The verdicts in the order in which they are shown, and what they say. */
export const verdictMeanings = {
  stored: "a new key: a new row",
  updated: "newer than the row, which it replaced",
  unchanged: "said what the row says",
  stale: "older than the row: came late",
  duplicate: "dropped by dedup: committed before",
  conflict: "its uuid is stored under another key",
  dead_lettered: "could not be processed; kept whole",
} as const;
export type Verdict = keyof typeof verdictMeanings;
export const verdicts = Object.keys(verdictMeanings) as Verdict[];

/** Sums over all invoices. */
export interface Books extends Record<Verdict, number> {
  invoices: number;
  accepted: number;
}

/** The database as an accountant sees it. */
export interface BookKeeper {
  /** The sums so far. */
  read(): Promise<Books>;
  /** Waits until as many records as `accepted` are booked. Throws where that takes too long. */
  untilBooked(accepted: number, signal: AbortSignal): Promise<Books>;
  query<T extends object>(sql: string, values?: unknown[]): Promise<T[]>;
  close(): Promise<void>;
}

const closeTimeoutMs = 60_000;

export async function openBooks(databaseUrl: string): Promise<BookKeeper> {
  const client = new Client(databaseUrl);
  // Queries fail on their own when the connection is lost.
  client.on("error", () => {});
  await client.connect();
  const query = async <T extends object>(sql: string, values: unknown[] = []): Promise<T[]> =>
    (await client.query<T>(sql, values)).rows;
  const read = async (): Promise<Books> => {
    const sums = ["accepted", ...verdicts].map((name) => `coalesce(sum(${name}), 0)::int as ${name}`);
    const [books] = await query<Books>(`select count(*)::int as invoices, ${sums.join(", ")} from invoices`);
    return books!;
  };
  return {
    read,
    query,
    async untilBooked(accepted, signal) {
      const deadlineMs = performance.now() + closeTimeoutMs;
      for (;;) {
        signal.throwIfAborted();
        const books = await read();
        if (books.accepted >= accepted) return books;
        if (performance.now() > deadlineMs) {
          throw new Error(
            `the books did not close within ${closeTimeoutMs / 1000} s: ${books.accepted} of ${accepted} accepted records are booked`,
          );
        }
        await sleep(100);
      }
    },
    close: () => client.end(),
  };
}

/** What must be true of the books of any mesh that is at rest; returns what isn't. */
export async function auditBooks(keeper: BookKeeper, accepted: number): Promise<string[]> {
  const books = await keeper.read();
  const sum = verdicts.reduce((total, verdict) => total + books[verdict], 0);
  const numbers = ["accepted", ...verdicts];
  const [facts] = await keeper.query<Record<string, number>>(`
    select
      (select count(*)::int from invoices where accepted <> ${verdicts.join(" + ")}) as unbalanced,
      (select count(*)::int from records) as rows,
      (select count(*)::int from (select distinct tenant_id, source_type, source_id, data_id from records)) as keys,
      (select count(*)::int from dead_letters) as dead_letters,
      (select coalesce(sum(deleted), 0)::int from totals) as deleted,
      ${numbers.map((name) => `(select coalesce(sum(${name}), 0)::int from totals) as total_${name}`).join(", ")}`);
  const { unbalanced, rows, keys, dead_letters: deadLetters, deleted } = facts!;
  const problems: string[] = [];
  const expectEqual = (what: string, actual: number | undefined, expected: number | undefined): void => {
    if (actual !== expected) problems.push(`${what}: ${actual}, expected ${expected}`);
  };
  expectEqual("accepted records in the books", books.accepted, accepted);
  expectEqual("sum of the verdicts", sum, books.accepted);
  expectEqual("invoices whose verdicts don't add up", unbalanced, 0);
  expectEqual("rows, stored - deleted", rows, books.stored - (deleted ?? 0));
  expectEqual("distinct keys, one row each", keys, rows);
  expectEqual("dead letters kept", deadLetters, books.dead_lettered);
  for (const name of numbers)
    expectEqual(`total of ${name}`, facts![`total_${name}`], books[name as Verdict]);
  return problems;
}
