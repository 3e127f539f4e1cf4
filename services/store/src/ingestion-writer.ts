import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import type { DeadLetterArchive } from "./dead-letter-archive.ts";
import type { Ledger } from "./ledger.ts";
import type { RecordReader } from "./record-reader.ts";
import type { Verdict, VerdictCounts } from "./verdict.ts";

/** What became of one record; a dead letter with the reason and, for a person, the detail. */
export interface RecordVerdict {
  verdict: Verdict;
  reason?: string;
  detail?: string;
}

/** What became of one batch. */
export type BatchOutcome =
  | {
      kind: "booked";
      batchId: Uint8Array;
      verdicts: VerdictCounts;
      /** 16 bytes a record: the fingerprints of the records that are in the sink, or superseded there. */
      committedFingerprints: Uint8Array;
      /**
       * The places of these records in the batch as the gateway made it, ascending; none where they are all of the batch. A sink may
       * leave it out; then gateways never drop what is sent again, and dedup still does.
       */
      committedOrdinals?: readonly number[];
      /**
       * For traces and metrics: the records that became dead letters at this stage, by their index in the batch. A sink may
       * leave it out; its dead letters are then told by no reason.
       */
      deadLabels?: readonly { index: number; reason: string }[];
      /**
       * For the tap, and for the metrics of a batch of several tenants: what became of the record at an index of the batch.
       * Asked right after the commit. A sink may leave it out; then its records are not shown.
       */
      verdictAt?: (index: number) => RecordVerdict;
    }
  /** The batch was written before; nothing has changed. */
  | { kind: "already_booked"; batchId: Uint8Array };

/** What a write has come to. */
export interface WriteResult {
  /** The sink's generation at the commit: dedup and gateways drop records only while it is the same. */
  generation: string;
  /** One outcome per batch, in their order. */
  outcomes: BatchOutcome[];
  /** Rows have left their keys: what was committed before says less by now, and nothing of this is told. */
  hasMoved?: boolean;
  /** For traces and metrics: the database as OpenTelemetry names it, such as "postgresql", and how long its COMMIT took. */
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

/** A batch that a sink has reported as written. */
export interface ReportedBatch {
  batchId: Uint8Array;
  /** The `WriteResult.generation` of that report. */
  generation: string;
}

/** What a commit in a sink is worth. */
export interface SinkDurability {
  level: DurabilityLevel;
  /** What can be lost, by which setting, and the remedy; for a person. Empty where a power failure loses nothing. */
  warnings: string[];
  /** The settings that decide it, by their names. */
  settings: Record<string, string>;
}

/** Where records are landed. docs/writing-a-sink.md shows how one is made. */
export interface IngestionSink {
  /** Names it in health and logs, for example "postgres". */
  readonly name: string;
  /** A writer that works beside the others. @param lane 0, 1, 2, … */
  createWriter(lane: number): IngestionWriter;
  /**
   * Reads, from the sink itself and not from memory, which generation it is now and whether it has all these batches,
   * each booked under the generation that reported it: booked again under another, it may lack records. Rejects where
   * the sink can't be reached; so it serves as a probe, too.
   */
  confirm(batches: readonly ReportedBatch[]): Promise<{ generation: string; allBooked: boolean }>;
  /**
   * Reads from the sink what a commit is worth; rejects where the sink can't be reached. A sink may leave it out; then
   * that is not known.
   */
  durability?(): Promise<SinkDurability>;
  /** Reads landed records back. A sink may leave it out; then QueryService has no answers. */
  readonly reader?: RecordReader;
  /** Connections that answer queries, and queries that wait for one; for metrics. A sink may leave it out. */
  readConnections?(): { used: number; idle: number; waiting: number };
  /** Its dead letters. A sink may leave it out; then DeadLetterService is not served. */
  readonly deadLetters?: DeadLetterArchive;
  /** Its books. A sink may leave it out; then AuditService is not served, and invoices are kept for ever. */
  readonly ledger?: Ledger;
  /** Closes the reader, too. */
  close(): Promise<void>;
}
