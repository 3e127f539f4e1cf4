const WINDOW_SECONDS = 10;

/** Adds up what happened in each of the last seconds. */
export class RateWindow {
  readonly #buckets = new Float64Array(WINDOW_SECONDS + 1);
  readonly #now: () => number;
  #second: number;

  /** @param now milliseconds */
  constructor(now: () => number) {
    this.#now = now;
    this.#second = Math.floor(now() / 1000);
  }

  add(amount: number): void {
    this.#advance();
    this.#buckets[this.#second % this.#buckets.length]! += amount;
  }

  /** Per second over the last 10 whole seconds: the current one isn't over. */
  get perSecond(): number {
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
