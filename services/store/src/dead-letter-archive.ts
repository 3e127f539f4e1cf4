import type { LetterId } from "./letter-id.ts";
import type { LetterFilter } from "./letter-selection.ts";

export type LetterState = "open" | "resolved" | "discarded";

/** A dead letter without its record. */
export interface Letter extends LetterId {
  state: LetterState;
  tenantId: string;
  sourceType: string;
  sourceId: string;
  dataId: string;
  uuid: string;
  stage: string;
  reason: string;
  detail: string;
  pipelineVersion: string;
  /** Microseconds since 1970. */
  acceptedAtUs: string;
  receiptId: string | null;
  traceId: string | null;
  traceparent: string | null;
  firstSeen: Date;
  lastSeen: Date;
  attempts: number;
  replayBatchId: string | null;
  settledAt: Date | null;
  verdict: string | null;
  discardedBy: string | null;
  note: string | null;
  recordBytes: number;
}

export interface WholeLetter extends Letter {
  /** The record as accepted. */
  original: Buffer;
}

/** Letters that have in common how they died. */
export interface LetterGroup {
  tenantId: string;
  sourceType: string;
  stage: string;
  reason: string;
  pipelineVersion: string;
  count: string;
  firstSeen: Date;
  lastSeen: Date;
}

/** A place in the order of letters, which never changes: by the time of acceptance, then by id. */
export interface LetterPlace extends LetterId {
  acceptedAtUs: string;
}

/** How much of the letters to read at once. */
export interface PageLimits {
  letters: number;
  /** Of their records together; a single record may be larger. */
  bytes: number;
}

/** The dead letters of a sink, as they are looked at, replayed and given up. All reject with CallError where it is away. */
export interface DeadLetterArchive {
  /** The largest groups first. */
  summarize(filter: LetterFilter, state: LetterState): Promise<LetterGroup[]>;
  /** The letters behind `after` in their order; without a state, whatever it is. */
  list(
    filter: LetterFilter,
    state: LetterState | undefined,
    page: { after: LetterPlace | undefined; limit: number },
  ): Promise<Letter[]>;
  /** Undefined where there is none. */
  get(id: LetterId): Promise<WholeLetter | undefined>;
  /** How many are open, and what time it is by the sink's clock. */
  countOpen(filter: LetterFilter): Promise<{ count: number; now: string }>;
  /** How many are open by tenant, looking at so many of all at most. */
  countOpenByTenant(limit: number): Promise<{ tenantId: string; count: number }[]>;
  /** Open letters with their records behind `after` in their order. */
  openPage(
    filter: LetterFilter,
    page: { after: LetterPlace | undefined; limits: PageLimits },
  ): Promise<WholeLetter[]>;
  /**
   * Discards up to `limit` open letters behind `after` in their order, in one transaction with the books. A letter that a
   * replay settles at the same time is the replay's.
   *
   * @returns how many were discarded, and the last place that was looked at; undefined where there was none
   */
  discard(
    filter: LetterFilter,
    page: { after: LetterPlace | undefined; limit: number; note: string; discardedBy: string },
  ): Promise<{ discarded: number; last: LetterPlace | undefined }>;
}
