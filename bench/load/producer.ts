import { setTimeout as sleep } from "node:timers/promises";
import type { ReceiptCounts } from "./read-receipt.ts";

/** What the receipts of a load say. */
export interface Receipts {
  accepted: number;
  rejected: number;
  /** Calls that were sent again, because the gateway asked for it. */
  retries: number;
}

export interface Producer {
  /** Sends every request, a bounded number of them at a time, and resolves when each has its receipt. */
  send(requests: Iterable<Uint8Array>, signal: AbortSignal): Promise<Receipts>;
  close(): void;
}

/** One call, from its request to its receipt. Rejects with {@link CallFailedError}. */
export type Ingest = (request: Uint8Array) => Promise<ReceiptCounts>;

/** A call was refused, or could not be answered. */
export class CallFailedError extends Error {
  override readonly name = "CallFailedError";
  /** It may be sent again. */
  readonly isTransient: boolean;

  constructor(message: string, isTransient: boolean) {
    super(message);
    this.isTransient = isTransient;
  }
}

export const MAX_ATTEMPTS = 1_000;
export const RETRY_MS = 250;

/** Each lane has one call under way; all draw from the same requests. */
export async function sendThrough(
  lanes: readonly Ingest[],
  requests: Iterable<Uint8Array>,
  signal: AbortSignal,
): Promise<Receipts> {
  const receipts: Receipts = { accepted: 0, rejected: 0, retries: 0 };
  const waiting = requests[Symbol.iterator]() as IterableIterator<Uint8Array>;
  const work = async (ingest: Ingest): Promise<void> => {
    for (const request of waiting) await ingestUntilTaken(ingest, request, receipts, signal);
  };
  await Promise.all(lanes.map(work));
  return receipts;
}

/** Sends a request again until it is taken, and adds what became of it. */
export async function ingestUntilTaken(
  ingest: Ingest,
  request: Uint8Array,
  receipts: Receipts,
  signal: AbortSignal,
): Promise<ReceiptCounts> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    try {
      const receipt = await ingest(request);
      receipts.accepted += receipt.accepted;
      receipts.rejected += receipt.rejected;
      return receipt;
    } catch (error) {
      if (!(error instanceof CallFailedError && error.isTransient) || attempt === MAX_ATTEMPTS) throw error;
      receipts.retries++;
      await sleep(RETRY_MS, undefined, { signal });
    }
  }
}
