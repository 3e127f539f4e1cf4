import type { Enrichment } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { Outcome } from "./outcomes.ts";

/**
 * The records that a stage shows, by their index. A tap asks for as much of each as somebody's filter needs, and only
 * while it shows them: nothing of it is kept.
 */
export interface TapSource {
  readonly count: number;
  tenantAt(index: number): string;
  outcomeAt(index: number): Outcome;
  /** The encoded IngestionData as it was sent; undefined where there is none. It may be malformed. */
  originalAt(index: number): Uint8Array | undefined;
  /** Asked only for a record that is shown. */
  factsAt(index: number): TapFacts;
}

/** What a stage knows of a record beside what the record says. */
export interface TapFacts {
  /** In its canonical form; "" where there is none yet. */
  readonly uuid: string;
  /** Why it was rejected or dead-lettered, else "". */
  readonly reason: string;
  /** For a person; else "". */
  readonly detail: string;
  readonly pipelineVersion: bigint;
  /** 32 hexadecimal digits, or "". */
  readonly traceId: string;
  /** What a pipeline has changed on the record, if anything. */
  readonly changed: Enrichment | undefined;
}
