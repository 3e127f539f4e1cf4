import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";

/** What a reader of the database saw, and when. */
export interface CommitWatch {
  /** When the batch with a call's record could first be read, by the call's receipt: the last one of several. */
  seenAt(receiptIds: readonly string[]): Promise<Map<string, number>>;
  stop(): Promise<void>;
}

const POLL_MS = 4;

/**
 * Asks for new batches again and again, on a connection of its own, and notes when their commits can be seen. What it
 * tells is late by the time between two questions, 4 to 5 ms, never early.
 */
export async function watchCommits(databaseUrl: string): Promise<CommitWatch> {
  const client = new Client(databaseUrl);
  await client.connect();
  const { rows } = await client.query<{ epoch: string; through: string; since: Date }>(
    "select epoch, max(raw_seq) as through, max(booked_at) as since from invoices group by epoch order by epoch desc limit 1",
  );
  const { epoch, through: before, since } = rows[0]!;
  let through = Number(before);
  const seenMs = new Map<string, number>();
  const ahead = new Set<number>();
  let isStopped = false;

  const poll = async (): Promise<void> => {
    for (;;) {
      // Once more when it is told to stop: all is committed then.
      const isLast = isStopped;
      const found = await client.query<{ batch: string; number: string }>({
        name: "new batches",
        text: "select batch_id as batch, raw_seq as number from invoices where epoch = $1 and raw_seq > $2",
        values: [epoch, through],
      });
      const nowMs = performance.now();
      for (const { batch, number } of found.rows) {
        if (!seenMs.has(batch)) seenMs.set(batch, nowMs);
        ahead.add(Number(number));
      }
      // Writers commit side by side: a number may be there before a smaller one.
      while (ahead.delete(through + 1)) through++;
      if (isLast) return;
      await sleep(POLL_MS);
    }
  };
  const polling = poll();
  polling.catch(() => {});

  return {
    seenAt: async (receiptIds) => {
      isStopped = true;
      await polling;
      const batches = await client.query<{ receipt: string; batch: string }>(
        "select distinct receipt_id as receipt, batch_id as batch from records where stored_at >= $1",
        [since],
      );
      const latest = new Map<string, number>();
      for (const { receipt, batch } of batches.rows) {
        const atMs = seenMs.get(batch);
        if (atMs !== undefined) latest.set(receipt, Math.max(atMs, latest.get(receipt) ?? 0));
      }
      const missing = receiptIds.find((id) => !latest.has(id));
      if (missing !== undefined) throw new Error(`no commit was seen of the call ${missing}`);
      return latest;
    },
    stop: async () => {
      isStopped = true;
      await polling.catch(() => {});
      await client.end();
    },
  };
}
