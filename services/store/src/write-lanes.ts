import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { backoffMs, pause } from "@chowhound/shared/runtime/backoff";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { Delivery } from "@chowhound/shared/stream/delivery";
import type { Meter } from "@chowhound/shared/telemetry/meter";
import { startWriteTrace } from "@chowhound/shared/telemetry/write-trace";
import type { BatchGrouper, Weighed } from "./batch-grouper.ts";
import { countCommit } from "./count-commit.ts";
import type { IngestionWriter, WriteResult } from "./ingestion-writer.ts";
import type { SinkHealth } from "./sink-health.ts";
import { traceCommit } from "./trace-commit.ts";

/** A batch with the delivery that is acknowledged once the batch is committed. */
export interface HeldBatch extends Weighed {
  batch: RecordBatch;
  delivery: Delivery;
}

export interface WriteLanesOptions {
  /** One writer per lane; each writes one group at a time. */
  writers: readonly IngestionWriter[];
  grouper: BatchGrouper<HeldBatch>;
  /** What waits for the sink gives up when this is aborted. */
  signal: AbortSignal;
  log: Logger;
  meter: Meter;
  health: SinkHealth;
  /** @param batches in the order of the result's outcomes */
  onCommitted(result: WriteResult, batches: readonly RecordBatch[]): void;
}

const GIVE_BACK_MS = 1_000;
const GIVE_BACK_ALONE_MS = 10_000;
/**
 * Failures of one group, with the sink answering in between, after which its batches make room for others. They come
 * again; after some deliveries each alone.
 */
const MAX_FAILURES_WHILE_UP = 3;

/**
 * Takes groups as they get ready and writes each with a writer that is free. Acknowledges only what is committed. A
 * failed group is tried again with the same writer until it is in, or, when the process ends, given back.
 */
export class WriteLanes {
  readonly #options: WriteLanesOptions;
  readonly #free: IngestionWriter[];
  #timer: NodeJS.Timeout | undefined;
  #endOfTurn: NodeJS.Immediate | undefined;
  /** When the last group was written or given up, and how long that took. */
  #endedMs = Number.NEGATIVE_INFINITY;
  #tookMs = 0;

  constructor(options: WriteLanesOptions) {
    this.#options = options;
    this.#free = [...options.writers];
  }

  /** Writers that are writing. */
  get busy(): number {
    return this.#options.writers.length - this.#free.length;
  }

  add(held: HeldBatch): void {
    this.#options.grouper.add(held, performance.now());
    // What came in one message is there at the end of the turn.
    this.#endOfTurn ??= setImmediate(() => {
      this.#endOfTurn = undefined;
      this.#dispatch();
    });
  }

  /** Starts what is ready, and comes back when the next group is. */
  #dispatch(): void {
    clearTimeout(this.#timer);
    const { grouper } = this.#options;
    for (;;) {
      const waitMs = grouper.readyInMs(performance.now(), {
        isWriting: this.busy > 0,
        endedMs: this.#endedMs,
        tookMs: this.#tookMs,
      });
      if (waitMs === undefined || this.#free.length === 0) return;
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#dispatch(), waitMs);
        return;
      }
      const writer = this.#free.pop()!;
      const beganMs = performance.now();
      void this.#write(writer, grouper.take()).finally(() => {
        this.#free.push(writer);
        this.#endedMs = performance.now();
        this.#tookMs = this.#endedMs - beganMs;
        this.#dispatch();
      });
    }
  }

  async #write(writer: IngestionWriter, group: readonly HeldBatch[]): Promise<void> {
    const { signal, log, meter, health, onCommitted } = this.#options;
    const stages = group.map(({ delivery }) => delivery.trace);
    const trace = startWriteTrace(stages);
    const giveBack = (): void => {
      trace?.end("given_back");
      const delayMs = group.length === 1 ? GIVE_BACK_ALONE_MS : GIVE_BACK_MS;
      for (const { delivery } of group) delivery.giveBack(delayMs);
    };
    const batches = group.map(({ batch }) => batch);
    let failuresWhileUp = 0;
    for (let attempt = 0; ; attempt++) {
      let isOpen = false;
      let result: WriteResult;
      let startedMs: number;
      try {
        await writer.open();
        isOpen = true;
        startedMs = performance.now();
        result = await writer.write(batches);
      } catch (error) {
        const retryInMs = backoffMs(attempt);
        const why = (error as Error).message;
        health.wrote(why);
        meter.count("chowhound.write.failures", 1);
        trace?.attemptFailed(isOpen ? "write_failed" : "not_connected");
        log.warn(
          { why, batches: group.length, retryInMs, ...trace?.logFields },
          "writing failed, trying again",
        );
        if (isOpen && ++failuresWhileUp === MAX_FAILURES_WHILE_UP) return giveBack();
        if (!(await pause(retryInMs, signal))) return giveBack();
        continue;
      }
      meter.record("chowhound.write.duration", (performance.now() - startedMs) / 1000);
      const messages = group.map(({ batch, delivery }) => ({ batch, bytes: delivery.bytes.length }));
      countCommit(meter, messages, result);
      traceCommit(
        trace,
        group.map(({ batch, delivery }) => ({ batch, trace: delivery.trace })),
        result,
      );
      for (const { delivery } of group) delivery.ack();
      health.wrote(undefined);
      onCommitted(result, batches);
      return;
    }
  }
}
