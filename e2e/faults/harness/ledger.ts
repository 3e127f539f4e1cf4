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

/** Records that somebody tries to have accepted. */
export interface Attempt {
  tenant: string;
  records: readonly KnownRecord[];
  /** How often the database had been set back when it began. */
  setBacks: number;
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
  /** Records that receipts have ever accepted, also those that are not owed any more. */
  everAccepted = 0;
  /** How often the database was set back. */
  setBacks = 0;
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
  sending(tenant: string, records: readonly KnownRecord[]): Attempt {
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
    return { tenant, records, setBacks: this.setBacks };
  }

  /** An attempt from before the database was set back stays unanswered: what it brought may have been there, and be gone. */
  answered({ tenant, records, setBacks }: Attempt, receipt: Receipt): void {
    const isOwed = setBacks === this.setBacks;
    this.everAccepted += receipt.accepted;
    if (isOwed) this.#sample(tenant, receipt);
    receipt.statuses.forEach(({ outcome, reason, message }, i) => {
      const record = records[i]!;
      const { fate } = record;
      const isAccepted = outcome === RecordOutcome.ACCEPTED;
      if (isAccepted === (fate === "rejected"))
        this.problems.push(
          `${tenant} ${record.key}: ${isAccepted ? "accepted" : `rejected, ${reason}: ${message}`}`,
        );
      if (!isOwed) return;
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

  /** What is known now, to come back to when the database is set back to what it is now. */
  snapshot(): LedgerSnapshot {
    const certain = new Map([...this.rows].map(([id, row]) => [id, row.certain]));
    return { counts: structuredClone(this.counts), certain, letters: new Map(this.letters) };
  }

  /**
   * The database is as it was at the snapshot: what was accepted since is no longer owed, until it is accepted again. It
   * counts, though, what has been accepted since `heldUp` and is still on its way. Of what was sent since `inDoubt`, nobody can
   * tell: it may be in the database of the snapshot, be gone with the later one, or be on its way.
   */
  setBack(
    { counts, certain, letters }: LedgerSnapshot,
    {
      heldUp = this.snapshot(),
      inDoubt = heldUp,
    }: { heldUp?: LedgerSnapshot; inDoubt?: LedgerSnapshot } = {},
  ): void {
    this.setBacks++;
    const before = structuredClone(counts);
    for (const fate of Object.keys(before) as Fate[]) {
      const now = this.counts[fate];
      before[fate].accepted += now.accepted - heldUp.counts[fate].accepted;
      before[fate].unanswered += heldUp.counts[fate].accepted - inDoubt.counts[fate].accepted;
      before[fate].unanswered += now.unanswered - inDoubt.counts[fate].unanswered;
    }
    Object.assign(this.counts, before);
    this.receipts.length = 0;
    this.#receipts = 0;
    for (const [id, row] of this.rows) row.certain = certain.get(id) ?? 0;
    for (const id of this.letters.keys()) this.letters.set(id, letters.get(id) ?? false);
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
