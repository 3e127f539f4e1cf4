import { type Receipt, RecordOutcome } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import type { Fate, KnownRecord } from "./known-records.ts";

/** What is known of one key: its row is of a version from `certain` to `possible`. */
export interface ExpectedRow {
  /** The newest version with a receipt; 0: none has one. */
  certain: number;
  /** The newest version that was sent at all. */
  possible: number;
}

export interface SentCount {
  /** Records that receipts accepted. */
  accepted: number;
  /** Records of attempts that got no receipt: each may be in or not. */
  unanswered: number;
}

const SAMPLED_RECEIPTS = 40;

export interface LedgerSnapshot {
  counts: Record<Fate, SentCount>;
  certain: ReadonlyMap<string, number>;
  letters: ReadonlyMap<string, boolean>;
}

/**
 * What the producers know: everything they have sent, and the receipts they have for it. The judge derives from it what must
 * be in the database, without looking at what the mesh says of itself.
 */
export class Ledger {
  /** By tenant and key; `rowId` makes the key. */
  readonly rows = new Map<string, ExpectedRow>();
  /** Dead letters there may be, by tenant and content; true: there must be one. */
  readonly letters = new Map<string, boolean>();
  readonly counts = noCounts();
  calls = 0;
  failedCalls = 0;
  /** Some of the receipts, each as likely as any other. */
  readonly receipts: { tenant: string; receiptId: string; accepted: number }[] = [];
  #receipts = 0;
  /** The records of each call that has a receipt, while they are remembered, and whose they are. */
  #remembered: Map<readonly KnownRecord[], string> | undefined;
  /** What no receipt should have said. */
  readonly problems: string[] = [];

  /** Records that the receipts accepted. */
  get accepted(): number {
    return Object.values(this.counts).reduce((sum, { accepted }) => sum + accepted, 0);
  }

  /** Records that may have been accepted beyond those. */
  get unanswered(): number {
    return Object.values(this.counts).reduce((sum, { unanswered }) => sum + unanswered, 0);
  }

  /** Notes an attempt. It counts as unanswered until it is answered. */
  sending(tenant: string, records: readonly KnownRecord[]): void {
    this.calls++;
    for (const record of records) {
      const { fate } = record;
      if (fate === "rejected") continue;
      this.counts[fate].unanswered++;
      if (fate === "dies") {
        const id = letterId(tenant, record);
        this.letters.set(id, this.letters.get(id) ?? false);
      } else if (fate === "lands") {
        const row = this.#row(tenant, record);
        row.possible = Math.max(row.possible, record.version);
      }
    }
  }

  answered(tenant: string, records: readonly KnownRecord[], receipt: Receipt): void {
    this.#remembered?.set(records, tenant);
    this.#sample(tenant, receipt);
    receipt.statuses.forEach(({ outcome, reason, message }, i) => {
      const record = records[i]!;
      const { fate } = record;
      const isAccepted = outcome === RecordOutcome.ACCEPTED;
      if (isAccepted === (fate === "rejected"))
        this.problems.push(
          `${tenant} ${record.key}: ${isAccepted ? "accepted" : `rejected, ${reason}: ${message}`}`,
        );
      if (fate !== "rejected") this.counts[fate].unanswered--;
      if (!isAccepted) return;
      this.counts[fate].accepted++;
      if (fate === "dies") this.letters.set(letterId(tenant, record), true);
      if (fate !== "lands") return;
      const row = this.#row(tenant, record);
      row.certain = Math.max(row.certain, record.version);
    });
  }

  #sample(tenant: string, { receiptId, accepted }: Receipt): void {
    if (accepted === 0) return;
    const place = Math.floor(Math.random() * ++this.#receipts);
    if (this.receipts.length < SAMPLED_RECEIPTS) this.receipts.push({ tenant, receiptId, accepted });
    else if (place < SAMPLED_RECEIPTS) this.receipts[place] = { tenant, receiptId, accepted };
  }

  failed(): void {
    this.failedCalls++;
  }

  /** Keeps from now on each call that gets a receipt, and what it had sent. */
  remember(): ReadonlyMap<readonly KnownRecord[], string> {
    this.#remembered ??= new Map();
    return this.#remembered;
  }

  /** What is known now, to come back to when the database is set back to what it is now. */
  snapshot(): LedgerSnapshot {
    const certain = new Map([...this.rows].map(([id, row]) => [id, row.certain]));
    return { counts: structuredClone(this.counts), certain, letters: new Map(this.letters) };
  }

  /**
   * The database is as it was at the snapshot: what was accepted since is no longer owed, until it is accepted again. It
   * counts, though, what has been accepted since `heldUp` and is still on its way.
   */
  setBack({ counts, certain, letters }: LedgerSnapshot, { heldUp = this.snapshot() } = {}): void {
    const before = structuredClone(counts);
    for (const fate of Object.keys(before) as Fate[]) {
      before[fate].accepted += this.counts[fate].accepted - heldUp.counts[fate].accepted;
      before[fate].unanswered += this.counts[fate].unanswered - heldUp.counts[fate].unanswered;
    }
    Object.assign(this.counts, before);
    this.receipts.length = 0;
    this.#receipts = 0;
    for (const [id, row] of this.rows) row.certain = certain.get(id) ?? 0;
    for (const id of this.letters.keys()) this.letters.set(id, letters.get(id) ?? false);
  }

  /**
   * The same while records come in all the time, so that nobody knows what of those accepted since the snapshot is still on its way:
   * each may be in the books or not. All before the snapshot must have been booked when the database was as it is now.
   */
  setBackUnderLoad(snapshot: LedgerSnapshot): void {
    const doubtful = structuredClone(this.counts);
    this.setBack(snapshot);
    for (const fate of Object.keys(doubtful) as Fate[]) {
      const { accepted, unanswered } = doubtful[fate];
      this.counts[fate].unanswered = unanswered + accepted - this.counts[fate].accepted;
    }
  }

  #row(tenant: string, { key }: KnownRecord): ExpectedRow {
    const id = rowId(tenant, key);
    const row = this.rows.get(id) ?? { certain: 0, possible: 0 };
    this.rows.set(id, row);
    return row;
  }
}

export function rowId(tenant: string, key: string): string {
  return `${tenant}/${key}`;
}

function letterId(tenant: string, { init }: KnownRecord): string {
  return rowId(tenant, init.data ?? "");
}

function noCounts(): Record<Fate, SentCount> {
  const none = (): SentCount => ({ accepted: 0, unanswered: 0 });
  return { lands: none(), dies: none(), conflicts: none(), rejected: none() };
}
