import type { PushPosition } from "./push-state.ts";

/** What has become of the records of a push. */
export interface PushCounts {
  accepted: number;
  rejectedByReason: Record<string, number>;
  firstReceiptId?: string;
  lastReceiptId?: string;
}

/** Rejected records that follow one another, with none between them that is sent. */
interface Run {
  end: PushPosition;
  reasons: Map<string, number>;
}

/**
 * Counts what became of the records up to a position. Records that were found bad when they were read are counted once the
 * position has passed them: until then whoever goes on from there would find them, and count them, again.
 */
export class SettledCounts {
  readonly #settled: PushCounts;
  /** Beyond the position; as many as records are on their way, at most. */
  readonly #ahead: Run[] = [];
  #isRunOpen = false;

  constructor(before: PushCounts = { accepted: 0, rejectedByReason: {} }) {
    this.#settled = { ...before, rejectedByReason: { ...before.rejectedByReason } };
  }

  get counts(): PushCounts {
    return { ...this.#settled, rejectedByReason: { ...this.#settled.rejectedByReason } };
  }

  /** A record that ends here is not sent. */
  rejected(end: PushPosition, reason: string): void {
    if (!this.#isRunOpen) this.#ahead.push({ end, reasons: new Map() });
    this.#isRunOpen = true;
    const run = this.#ahead.at(-1)!;
    run.end = end;
    run.reasons.set(reason, (run.reasons.get(reason) ?? 0) + 1);
  }

  /** The next record is sent. */
  sent(): void {
    this.#isRunOpen = false;
  }

  /** The records sent up to here are answered. `rejectedReasons`: of each that the gateway refused. */
  settle(
    position: PushPosition,
    answer: { receiptId: string; accepted: number; rejectedReasons: readonly string[] },
  ): void {
    const settled = this.#settled;
    settled.accepted += answer.accepted;
    settled.firstReceiptId ??= answer.receiptId;
    settled.lastReceiptId = answer.receiptId;
    for (const reason of answer.rejectedReasons) this.#count(reason, 1);
    while (this.#ahead.length > 0 && isBefore(this.#ahead[0]!.end, position))
      for (const [reason, count] of this.#ahead.shift()!.reasons) this.#count(reason, count);
  }

  #count(reason: string, count: number): void {
    const { rejectedByReason } = this.#settled;
    rejectedByReason[reason] = (rejectedByReason[reason] ?? 0) + count;
  }
}

function isBefore(one: PushPosition, other: PushPosition): boolean {
  return one.input === other.input ? one.endBytes < other.endBytes : one.input < other.input;
}
