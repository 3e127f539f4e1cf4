import { type Batch, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, type OutgoingRecord } from "./batch.ts";

/** How long a record waits for others, where its input is slower than the mesh. */
const LINGER_MS = 100;

/**
 * Groups records into batches. A batch ends when it is full, at the end of an input, and when nothing more has come for a
 * moment: `tail -f … | chow push -` doesn't wait for 500 lines.
 */
export async function* collectBatches(
  source: AsyncIterable<readonly OutgoingRecord[]>,
  { lingerMs = LINGER_MS } = {},
): AsyncGenerator<Batch, void> {
  const chunks = source[Symbol.asyncIterator]();
  let number = 0;
  let records: OutgoingRecord[] = [];
  let bytes = 0;
  const take = (): Batch => {
    const batch = { number: ++number, records };
    records = [];
    bytes = 0;
    return batch;
  };
  try {
    let next = chunks.next();
    for (;;) {
      if (records.length > 0 && (await isSlow(next, lingerMs))) yield take();
      const chunk = await next;
      if (chunk.done) break;
      next = chunks.next();
      // Its failure is met when it is waited for.
      next.catch(() => {});
      for (const record of chunk.value) {
        const isFull = records.length === MAX_BATCH_RECORDS || bytes + record.bytes.length > MAX_BATCH_BYTES;
        if (records.length > 0 && (isFull || records[0]!.origin.input !== record.origin.input)) yield take();
        records.push(record);
        bytes += record.bytes.length;
      }
    }
    if (records.length > 0) yield take();
  } finally {
    chunks.return?.().catch(() => {});
  }
}

async function isSlow(next: Promise<unknown>, lingerMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<true>((resolve) => {
    timer = setTimeout(resolve, lingerMs, true);
  });
  try {
    const settled = next.then(
      () => false as const,
      // What came before it is whole.
      () => true as const,
    );
    return await Promise.race([timeout, settled]);
  } finally {
    clearTimeout(timer);
  }
}
