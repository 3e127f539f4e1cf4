import type { Receipt } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";

/** What has become of the records so far. */
export class Tally {
  /** At the gateway, or, where nothing is sent, found in order. */
  accepted = 0;
  rejected = 0;
  readonly byReason = new Map<string, number>();
  firstReceiptId: string | undefined;
  lastReceiptId: string | undefined;
  readonly #startedMs = performance.now();

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
    return (this.accepted + this.rejected) / Math.max(this.seconds, 0.001);
  }
}
