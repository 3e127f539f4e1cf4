const WINDOW_SECONDS = 10;

/** Counts what passes through a process: totals, the rate of the last 10 seconds, and named counters. */
export class Meter {
  records = 0;
  batches = 0;
  readonly #counters = new Map<string, number>();
  readonly #buckets = new Float64Array(WINDOW_SECONDS + 1);
  #second = 0;
  readonly #now: () => number;

  /** @param now milliseconds; for tests */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#second = Math.floor(now() / 1000);
  }

  /** One batch of so many records has passed. */
  batch(records: number): void {
    this.records += records;
    this.batches += 1;
    this.#advance();
    this.#buckets[this.#second % this.#buckets.length]! += records;
  }

  /** Adds to a named counter, such as "verdict.stored". */
  count(name: string, by = 1): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + by);
  }

  /** Shows a value that goes up and down beside the counters, such as "index.size". */
  set(name: string, value: number): void {
    this.#counters.set(name, value);
  }

  get counters(): ReadonlyMap<string, number> {
    return this.#counters;
  }

  /** Records per second over the last 10 whole seconds. */
  get recordsPerSecond(): number {
    this.#advance();
    const current = this.#second % this.#buckets.length;
    let sum = 0;
    for (let i = 0; i < this.#buckets.length; i++) if (i !== current) sum += this.#buckets[i]!;
    return sum / WINDOW_SECONDS;
  }

  #advance(): void {
    const second = Math.floor(this.#now() / 1000);
    const steps = Math.min(second - this.#second, this.#buckets.length);
    for (let i = 1; i <= steps; i++) this.#buckets[(this.#second + i) % this.#buckets.length] = 0;
    this.#second = second;
  }
}
