import type { Receipt } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import type { PushCounts } from "./settled-counts.ts";

/** What has become of the records so far, also in earlier runs of a push that goes on. */
export class Tally {
  /** At the gateway, or, where nothing is sent, found in order. */
  accepted = 0;
  rejected = 0;
  readonly byReason: Map<string, number> = new Map();
  firstReceiptId: string | undefined;
  lastReceiptId: string | undefined;
  /** How many of them in earlier runs. */
  readonly earlier: { accepted: number; rejected: number };
  readonly #startedMs = performance.now();

  /** @param before what earlier runs have settled */
  constructor(before?: PushCounts) {
    if (before !== undefined) {
      this.accepted = before.accepted;
      this.byReason = new Map(Object.entries(before.rejectedByReason));
      this.rejected = [...this.byReason.values()].reduce((sum, count) => sum + count, 0);
      this.firstReceiptId = before.firstReceiptId;
      this.lastReceiptId = before.lastReceiptId;
    }
    this.earlier = { accepted: this.accepted, rejected: this.rejected };
  }

  reject(reason: string): void {
    this.rejected++;
    this.byReason.set(reason, (this.byReason.get(reason) ?? 0) + 1);
  }

  receive({ receiptId, accepted }: Receipt): void {
    this.accepted += accepted;
    this.firstReceiptId ??= receiptId;
    this.lastReceiptId = receiptId;
  }

  get seconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  get recordsPerSecond(): number {
    const earlier = this.earlier.accepted + this.earlier.rejected;
    return (this.accepted + this.rejected - earlier) / Math.max(this.seconds, 0.001);
  }
}
