import { setTimeout as sleep } from "node:timers/promises";
import { type Ingest, ingestUntilTaken, type Receipts } from "./producer.ts";

/** One call of a schedule; times by this process's `performance.now()`. */
export interface TimedCall {
  /** When the schedule had it, whether or not it could be sent then. */
  intendedMs: number;
  /** When its receipt was there. */
  answeredMs: number;
  receiptId: string;
}

/**
 * Sends requests at a steady pace, whatever becomes of those before: a mesh that falls behind is not spared, and what a
 * call waits for its turn counts for it. A refused call is sent again, and keeps its place in the schedule.
 */
export async function sendOnSchedule(
  ingest: Ingest,
  requests: Iterable<Uint8Array>,
  { callsPerSecond, signal }: { callsPerSecond: number; signal: AbortSignal },
): Promise<{ calls: TimedCall[]; receipts: Receipts }> {
  const receipts: Receipts = { accepted: 0, rejected: 0, retries: 0 };
  const startMs = performance.now();
  const send = async (request: Uint8Array, intendedMs: number): Promise<TimedCall> => {
    const { receiptId } = await ingestUntilTaken(ingest, request, receipts, signal);
    return { intendedMs, answeredMs: performance.now(), receiptId };
  };
  const calls: Promise<TimedCall>[] = [];
  for (const request of requests) {
    const intendedMs = startMs + (calls.length / callsPerSecond) * 1000;
    // A timer has whole milliseconds: what it is late counts too.
    for (;;) {
      const earlyMs = intendedMs - performance.now();
      if (earlyMs <= 0) break;
      await sleep(Math.ceil(earlyMs), undefined, { signal });
    }
    const call = send(request, intendedMs);
    // Whoever waits for all of them hears of it.
    call.catch(() => {});
    calls.push(call);
  }
  return { calls: await Promise.all(calls), receipts };
}
