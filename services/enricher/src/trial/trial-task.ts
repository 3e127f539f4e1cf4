import type { RawNumber } from "../enrich-batch.ts";

/** Where the process of a trial writes a byte before it looks at a record. */
export const PROGRESS_FD = 4;

/** One batch to try. */
export interface TrialTask {
  message: Uint8Array;
  origin: RawNumber;
  maxBytes: number;
  /** The records that ended a process, and how; they are not looked at again. */
  killers: ReadonlyMap<number, string>;
  /** The pipelines in force; undefined where they are those of the task before. */
  pipelines: readonly TrialPipeline[] | undefined;
  /** There is one, for all records. */
  isForAll: boolean;
}

export interface TrialPipeline {
  definition: string;
  version: bigint;
}

export interface TrialResult {
  /** What is to be added to the batch, encoded as the message it is merged with. */
  additions: Uint8Array;
  /** Bytes written to PROGRESS_FD so far, over all tasks. */
  progress: number;
}
