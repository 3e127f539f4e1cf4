import type { JetStreamManager, StoredMsg, StreamInfo } from "@nats-io/jetstream";

export interface ScanLimits {
  maxMessages: number;
  maxBytes: number;
  maxMs: number;
}

export interface Scan {
  /** Of the messages that wait in the stream, how many were seen. */
  seen: number;
  waiting: number;
}

/**
 * Shows messages that wait in a stream, each once, without taking them: first those from a time on, then those before, up
 * to the limits.
 *
 * @param subjects all of the stream's subjects
 * @param fromMs milliseconds since 1970; undefined: from the oldest on
 */
export async function scanStream(
  jsm: JetStreamManager,
  { name, subjects }: { name: string; subjects: string },
  { fromMs, limits }: { fromMs: number | undefined; limits: ScanLimits },
  onMessage: (message: StoredMsg, info: StreamInfo) => void,
): Promise<Scan> {
  const deadlineMs = performance.now() + limits.maxMs;
  const info = await jsm.streams.info(name);
  const { messages: waiting, first_seq: first, last_seq: last } = info.state;
  const get = (sequence: number): Promise<StoredMsg | null> => {
    // The first at or behind the sequence: most of a work queue's are gone.
    const query = { seq: sequence, next_by_subj: subjects };
    return jsm.streams.getMessage(name, query);
  };
  const isAllSeen = waiting <= limits.maxMessages;
  const start = fromMs === undefined || isAllSeen ? first : await findFrom(fromMs, first, last, get);
  let seen = 0;
  let bytes = 0;
  const show = async (from: number, to: number): Promise<void> => {
    for (let next = from; next <= to; ) {
      if (seen === limits.maxMessages || bytes >= limits.maxBytes || performance.now() > deadlineMs) return;
      const message = await get(next);
      if (message === null || message.seq > to) return;
      onMessage(message, info);
      seen++;
      bytes += message.data.length;
      next = message.seq + 1;
    }
  };
  await show(start, last);
  await show(first, start - 1);
  return { seen, waiting };
}

/** The sequence of the first message that was stored at the time or later; one behind the last where there is none. */
async function findFrom(
  timeMs: number,
  first: number,
  last: number,
  get: (sequence: number) => Promise<StoredMsg | null>,
): Promise<number> {
  let low = first;
  let high = last + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const message = await get(middle);
    if (message === null || message.time.getTime() >= timeMs) high = middle;
    else low = message.seq + 1;
  }
  return low;
}
