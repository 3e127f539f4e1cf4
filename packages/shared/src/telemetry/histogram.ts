/** Counts values by their size. */
export class Histogram {
  /** Upper bounds of the buckets, inclusive. */
  readonly bounds: readonly number[];
  /** Values in each bucket, and in one more those above the last bound. */
  readonly counts: number[];
  count = 0;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  record(value: number, times: number): void {
    let bucket = 0;
    while (bucket < this.bounds.length && value > this.bounds[bucket]!) bucket++;
    this.counts[bucket]! += times;
    this.count += times;
    this.sum += value * times;
  }
}
