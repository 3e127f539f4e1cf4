/** What each stage can do with a record, as a tap shows it. At the store it is the verdict. */
export const STAGE_OUTCOMES = {
  gateway: ["accepted", "duplicate", "rejected"],
  enricher: ["enriched", "dead_lettered"],
  dedup: ["passed", "duplicate"],
  store: ["stored", "updated", "unchanged", "stale", "conflict", "dead_lettered"],
} as const;

/** What one of the stages did with a record. */
export type Outcome = (typeof STAGE_OUTCOMES)[keyof typeof STAGE_OUTCOMES][number];

/** Every outcome, each once. */
export const OUTCOMES: readonly Outcome[] = [...new Set(Object.values(STAGE_OUTCOMES).flat())];
