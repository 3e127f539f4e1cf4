import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { VerdictCounts } from "./verdict.ts";

/** What became of one batch. */
export type BatchOutcome =
  | {
      kind: "booked";
      batchId: Uint8Array;
      verdicts: VerdictCounts;
      /** 16 bytes a record: the fingerprints of the records that are in the sink, or superseded there. */
      committedFingerprints: Uint8Array;
    }
  /** The batch was written before; nothing has changed. */
  | { kind: "already_booked"; batchId: Uint8Array };

/** What a write has come to. */
export interface WriteResult {
  /** The sink's generation at the commit: dedup drops records only while it is the same. */
  generation: string;
  /** One outcome per batch, in their order. */
  outcomes: BatchOutcome[];
  /** For traces: the database as OpenTelemetry names it, such as "postgresql", and how long its COMMIT took. */
  commit?: { system: string; tookMs: number };
}

/**
 * Writes groups of batches and says what became of every record.
 *
 * - A write is all or nothing: when it resolves, everything in it is durable; when it rejects, nothing of it is there
 *   and the same batches come again.
 * - A batch comes again after a crash, also when it was written: the writer knows it by its batch id and skips it.
 * - The verdicts of a batch add up to its accepted count.
 */
export interface IngestionWriter {
  /** Connects and prepares, where that is not done yet; rejects where the sink is not there. Called before each write. */
  open(): Promise<void>;
  write(batches: readonly RecordBatch[]): Promise<WriteResult>;
  close(): Promise<void>;
}

/** Where records are landed. docs/writing-a-sink.md shows how one is made. */
export interface IngestionSink {
  /** Names it in health and logs, for example "postgres". */
  readonly name: string;
  /** A writer that works beside the others. @param lane 0, 1, 2, … */
  createWriter(lane: number): IngestionWriter;
  /**
   * Reads, from the sink itself and not from memory, which generation it is now and whether it has all these batches.
   * Rejects where the sink can't be reached; so it serves as a probe, too.
   */
  confirm(batchIds: readonly Uint8Array[]): Promise<{ generation: string; allBooked: boolean }>;
  close(): Promise<void>;
}
