/** One thing to be written, with its weight. */
export interface Weighed {
  records: number;
  bytes: number;
  /** It must be written in a group of its own. */
  alone: boolean;
}

export interface GroupLimits {
  maxRecords: number;
  maxBytes: number;
  /** From the begin of one transaction to that of the next, at most, where the group isn't full. */
  lingerMs: number;
  /** How long the first of a group waits while another group is being written. */
  patienceMs: number;
}

/** What is known of the groups before. */
export interface Written {
  /** One is being written now. */
  isWriting: boolean;
  /** When the last one ended; of the clock of `readyInMs`. */
  endedMs: number;
  /** How long it took: milliseconds. */
  tookMs: number;
}

/**
 * Forms groups by size and time. A transaction costs as much as hundreds of records; so what isn't full waits while one is under
 * way, as long as that takes no longer than usual, and then for as long as it took, or until the linger since it began is over: the writers
 * rest half of the time, or are busy with large groups. What comes after a quiet time waits for nothing.
 */
export class BatchGrouper<T extends Weighed> {
  readonly #limits: GroupLimits;
  readonly #queue: { item: T; since: number }[] = [];
  #records = 0;
  #bytes = 0;

  constructor(limits: GroupLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#queue.length;
  }

  /** @param now milliseconds, of the same clock as in `take` and `readyInMs` */
  add(item: T, now: number): void {
    this.#queue.push({ item, since: now });
    this.#records += item.records;
    this.#bytes += item.bytes;
  }

  /** Milliseconds until a group is ready: 0 when one is, undefined when nothing is waiting. */
  readyInMs(now: number, { isWriting, endedMs, tookMs }: Written): number | undefined {
    const first = this.#queue[0];
    if (first === undefined) return undefined;
    const { maxRecords, maxBytes, lingerMs, patienceMs } = this.#limits;
    if (first.item.alone || this.#records >= maxRecords || this.#bytes >= maxBytes) return 0;
    const restMs = Math.min(tookMs, Math.max(0, lingerMs - tookMs));
    return Math.max(0, (isWriting ? first.since + patienceMs : endedMs + restMs) - now);
  }

  /** Takes the next group, oldest first: at least one item, and as many more as fit the limits. */
  take(): T[] {
    const group: T[] = [];
    let records = 0;
    let bytes = 0;
    while (this.#queue.length > 0) {
      const { item } = this.#queue[0]!;
      const fits =
        records + item.records <= this.#limits.maxRecords && bytes + item.bytes <= this.#limits.maxBytes;
      if (group.length > 0 && (!fits || item.alone)) break;
      this.#queue.shift();
      group.push(item);
      records += item.records;
      bytes += item.bytes;
      if (item.alone) break;
    }
    this.#records -= records;
    this.#bytes -= bytes;
    return group;
  }
}
