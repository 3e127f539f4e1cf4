import type { AuditReason } from "@chowhound/shared/errors/reasons";
import type { Verdict } from "./verdict.ts";

/** An incarnation of RAW, and the last number that it has given out. */
export interface RawNumbers {
  epoch: bigint;
  last: bigint;
}

/** A range of numbers of one incarnation of RAW. */
export interface NumberRange {
  epoch: bigint;
  first: bigint;
  last: bigint;
}

/** One thing that does not add up. */
export interface Finding extends Partial<NumberRange> {
  reason: AuditReason;
  /** A few at most. */
  batchIds?: string[];
  tenantId?: string;
  sourceType?: string;
  sourceId?: string;
  /** What was counted. */
  counter: string;
  expected: bigint;
  found: bigint;
}

/** What became of the records of one tenant, or of all. */
export interface Balance extends Record<Verdict, bigint> {
  tenantId: string;
  /** At the door: replays are not in it. */
  accepted: bigint;
  replayed: bigint;
  rows: bigint;
  deleted: bigint;
  openDeadLetters: bigint;
  reclaimed: bigint;
  discarded: bigint;
}

/** Findings that can be accepted as they are: nothing is changed by it but what audits say. */
export type WriteOffReason = Extract<AuditReason, "number_missing" | "batch_repeated" | "number_reused">;

export interface WriteOff extends NumberRange {
  reason: WriteOffReason;
  note: string;
  writtenOffBy: string;
  writtenOffAt: Date;
}

/** What the books and tables say in one moment. */
export interface Examination {
  /** By the sink's clock. */
  at: Date;
  invoices: bigint;
  /** Of these, folded into sums. */
  compactedInvoices: bigint;
  total: Balance;
  /** By tenant, the largest first; bounded. */
  balances: Balance[];
  /** Bounded; `findingCount` is how many there are. */
  findings: Finding[];
  findingCount: number;
  /** The latest first; bounded. */
  writeOffs: WriteOff[];
}

export interface ExamineOptions {
  /** The numbers that must all be booked by now. */
  mark: RawNumbers;
  /** What RAW has given out at the moment of the call. Called once the snapshot is taken. */
  readRaw(): Promise<RawNumbers>;
  /** Only this tenant's balance. */
  tenantId: string | undefined;
  maxFindings: number;
  /** Aborted: nobody waits any more. */
  signal: AbortSignal;
}

/** The books of a sink, as they are audited and kept small. All reject with CallError not_ready where it is away. */
export interface Ledger {
  /** Compares the books with RAW's numbers, with themselves and with the tables. Yields what it counts next. */
  examine(options: ExamineOptions): AsyncGenerator<string, Examination>;
  /**
   * Keeps that RAW has given out all numbers up to `last`. Returns the highest that is known to have been given out: noted,
   * or booked.
   */
  noteGiven(raw: RawNumbers): Promise<bigint>;
  /** Keeps that RAW gives out these numbers a second time. */
  noteRewind(numbers: NumberRange): Promise<void>;
  /**
   * Accepts a finding on numbers for good. Rejects with CallError write_off_refused unless the same thing is wrong with
   * all of them.
   *
   * @param raw what RAW has given out; all of it is booked that ever will be
   */
  writeOff(
    numbers: NumberRange,
    raw: RawNumbers,
    by: Pick<WriteOff, "note" | "writtenOffBy">,
  ): Promise<WriteOff>;
  /**
   * Folds invoices into sums that are balanced, without a gap before them, and older than `keepMs`. Step by step, until
   * there are no more or `signal` is aborted. Returns how many; 0 where another replica is at it.
   */
  compact(keepMs: number, signal: AbortSignal): Promise<number>;
}
