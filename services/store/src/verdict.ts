/** What became of an accepted record. Exactly one of these, booked in the transaction that made it true. */
export const VERDICTS = [
  /** A new key. */
  "stored",
  /** Greater in order than the row, which it replaced. */
  "updated",
  /** The same content under the same pipeline as the row. A newer version moved the row's version on. */
  "unchanged",
  /** Smaller in order than the row. */
  "stale",
  /** Dropped by dedup: committed before. */
  "duplicate",
  /** Its uuid is stored under another key of the tenant. */
  "conflict",
  /** Could not be processed; kept whole. */
  "dead_lettered",
] as const;

export type Verdict = (typeof VERDICTS)[number];
export type VerdictCounts = Record<Verdict, number>;

export function noVerdicts(): VerdictCounts {
  return { stored: 0, updated: 0, unchanged: 0, stale: 0, duplicate: 0, conflict: 0, dead_lettered: 0 };
}

export function sumVerdicts(counts: VerdictCounts): number {
  let sum = 0;
  for (const verdict of VERDICTS) sum += counts[verdict];
  return sum;
}
