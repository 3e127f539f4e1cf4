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
  /** Of those accepted, dead letters that came again: the others are what the gateways accepted. */
  replayed: number;
  /** Dead letters that a replay took off the open ones. */
  reclaimed: number;
}

/** The database as an accountant sees it. */
export interface BookKeeper {
  /** The sums so far. */
  read(): Promise<Books>;
  /** Waits until as many records as `accepted` by the gateways are booked. Throws where that takes too long. */
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
    const sums = ["accepted", ...verdicts, "replayed", "reclaimed"].map(
      (name) => `coalesce(sum(${name}), 0)::int as ${name}`,
    );
    // Old invoices are folded into sums; the totals know of all.
    const [books] = await query<Books>(`
      select ((select count(*) from invoices) + (select coalesce(sum(invoices), 0) from compacted_invoices))::int as invoices,
        ${sums.join(", ")} from totals`);
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
        if (books.accepted - books.replayed >= accepted) return books;
        if (performance.now() > deadlineMs) {
          throw new Error(
            `the books did not close within ${closeTimeoutMs / 1000} s: ${books.accepted - books.replayed} of ${accepted} accepted records are booked`,
          );
        }
        await sleep(100);
      }
    },
    close: () => client.end(),
  };
}
