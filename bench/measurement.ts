import type { Verdict } from "@chowhound/local/books";
import type { CpuSpent } from "./cpu-watch.ts";

/** What was measured of one load, or of what it is compared with. */
export interface Measurement extends CpuSpent {
  records: number;
  /** Of the requests: what the producer sent, where it sent requests. */
  requestBytes?: number;
  /** From the first send until the last record can be read; for a copy, of its statement. */
  elapsedMs: number;
  /** What became of the records, where books are kept. */
  verdicts: Partial<Record<Verdict, number>>;
  /** Batches that the gateway made of them. */
  batches: number;
  /** Transactions in which the store booked those. */
  transactions: number;
  /** Calls that the producer had to send again. */
  retries: number;
}

/** Of what keeps no books. */
export const WITHOUT_BOOKS = { verdicts: {}, batches: 0, transactions: 0, retries: 0 } as const;

/** The books don't close, or rows are missing. */
export class BrokenBooksError extends Error {
  override readonly name = "BrokenBooksError";
}
