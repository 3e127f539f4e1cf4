import type { JetStreamClient } from "@nats-io/jetstream";
import { BUNDLED_OVERHEAD_BYTES, bundleBatches } from "../batch/bundle.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Meter } from "../telemetry/meter.ts";
import { sendTogether } from "../telemetry/send-trace.ts";
import type { StageTrace } from "../telemetry/stage-trace.ts";
import { traceHeaderBytes } from "../telemetry/trace-header.ts";
import { publishUntilAcknowledged } from "./publish-batch.ts";

/** A batch on its way to the next stage. */
export interface PassedBatch {
  partition: number;
  /** The encoded RecordBatch, packed or not. */
  bytes: Uint8Array;
  records: number;
  trace: StageTrace | undefined;
}

export interface BundlePublisherOptions {
  js: JetStreamClient;
  /** The stream's name. */
  stream: string;
  subjectOf(partition: number): string;
  /** The largest message that the stream takes. */
  maxBytes: number;
  /** From one message to the next of its partition at most, where that isn't full: milliseconds. 0: nothing waits for company. */
  maxDistanceMs: number;
  log: Logger;
  meter: Meter;
  /** Aborted: what isn't acknowledged is given up. */
  signal: AbortSignal;
}

/** The distance between messages, by how long JetStream took for the last one. */
const DISTANCE_PER_TOOK = 8;
/** A message with so many records costs little beside them: it waits for no more. */
const FULL_RECORDS = 500;
/** The same for bytes; what several batches are together is less than twice as much. */
const FULL_BYTES = 128 * 1024;
/** Each of them may have a header, and JetStream takes 65,535 bytes of headers. */
const MAX_BATCHES = 64;
const MAX_HEADER_BYTES = 48 * 1024;

/**
 * Passes batches on to the next stage, several of the same partition in one message where they are small. A message has its price at
 * every hop, whatever is in it: it is stored and synced, acknowledged and removed, and wakes four processes. So what isn't full waits while a
 * message is on its way, and keeps a distance from the one before: the greater, the longer JetStream took for that, which shows how busy
 * everything is. What comes after a quiet time waits for nothing.
 */
export class BundlePublisher {
  readonly #options: BundlePublisherOptions;
  readonly #lanes = new Map<number, Lane>();

  constructor(options: BundlePublisherOptions) {
    this.#options = options;
  }

  /** As `publishUntilAcknowledged`: resolves to false where the signal was aborted first. */
  publish(batch: PassedBatch): Promise<boolean> {
    const { partition } = batch;
    let lane = this.#lanes.get(partition);
    if (lane === undefined) {
      lane = new Lane(this.#options, partition);
      this.#lanes.set(partition, lane);
    }
    return lane.add(batch);
  }
}

/** One partition: at most one open message, and any number on their way. */
class Lane {
  readonly #options: BundlePublisherOptions;
  readonly #partition: number;
  #open = new OpenMessage();
  #onTheirWay = 0;
  /** When the last message left, and how long it then took to be acknowledged. */
  #leftMs = Number.NEGATIVE_INFINITY;
  #tookMs = 0;
  /** Of an open message that may leave. */
  #endOfTurn: NodeJS.Immediate | undefined;
  #endOfWait: NodeJS.Timeout | undefined;

  constructor(options: BundlePublisherOptions, partition: number) {
    this.#options = options;
    this.#partition = partition;
  }

  add(batch: PassedBatch): Promise<boolean> {
    if (!this.#open.hasRoomFor(batch, this.#options.maxBytes)) this.#flush();
    const published = this.#open.add(batch);
    if (this.#open.isFull) this.#flush();
    else if (this.#onTheirWay === 0) this.#flushSoon();
    return published;
  }

  #flushSoon(): void {
    if (this.#endOfTurn !== undefined || this.#endOfWait !== undefined) return;
    const { maxDistanceMs, signal } = this.#options;
    const distanceMs = Math.min(maxDistanceMs, DISTANCE_PER_TOOK * this.#tookMs);
    const waitMs = signal.aborted ? 0 : this.#leftMs + distanceMs - performance.now();
    if (waitMs > 0) this.#endOfWait = setTimeout(() => this.#flush(), waitMs);
    else this.#endOfTurn = setImmediate(() => this.#flush());
  }

  #flush(): void {
    clearImmediate(this.#endOfTurn);
    clearTimeout(this.#endOfWait);
    this.#endOfTurn = undefined;
    this.#endOfWait = undefined;
    const message = this.#open;
    if (message.batches.length === 0) return;
    this.#open = new OpenMessage();
    this.#onTheirWay++;
    const leftMs = performance.now();
    this.#leftMs = leftMs;
    // Within the promise: also where there is no memory to put it together, its batches are settled.
    Promise.try(() => this.#send(message.batches))
      .then(message.settle, message.fail)
      .then(() => {
        this.#tookMs = performance.now() - leftMs;
        this.#onTheirWay--;
        if (this.#onTheirWay === 0 && this.#open.batches.length > 0) this.#flushSoon();
      });
  }

  #send(batches: readonly PassedBatch[]): Promise<boolean> {
    const { js, stream, subjectOf, maxBytes, log, meter, signal } = this.#options;
    const message = bundleBatches(batches.map(({ bytes }) => bytes));
    const traces = batches.map(({ trace }) => trace?.startSend(stream, maxBytes - message.length));
    return publishUntilAcknowledged(js, subjectOf(this.#partition), message, {
      log,
      meter,
      stream,
      signal,
      trace: sendTogether(traces),
    });
  }
}

/** A message that still takes batches. */
class OpenMessage {
  readonly batches: PassedBatch[] = [];
  readonly settle: (isPublished: boolean) => void;
  readonly fail: (error: unknown) => void;
  readonly #published: Promise<boolean>;
  #records = 0;
  #bytes = 0;
  #headerBytes = 0;

  constructor() {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    this.#published = promise;
    this.settle = resolve;
    this.fail = reject;
  }

  get isFull(): boolean {
    return this.#records >= FULL_RECORDS || this.#bytes >= FULL_BYTES || this.batches.length === MAX_BATCHES;
  }

  /** Where there is nothing in it, there is. */
  hasRoomFor({ records, bytes, trace }: PassedBatch, maxBytes: number): boolean {
    if (this.batches.length === 0) return true;
    const total = this.#bytes + bytes.length + BUNDLED_OVERHEAD_BYTES;
    return (
      this.#records + records <= FULL_RECORDS &&
      total <= Math.min(2 * FULL_BYTES, maxBytes - MAX_HEADER_BYTES) &&
      this.#headerBytes + headerBytes(trace) <= MAX_HEADER_BYTES
    );
  }

  add(batch: PassedBatch): Promise<boolean> {
    this.batches.push(batch);
    this.#records += batch.records;
    this.#bytes += batch.bytes.length + BUNDLED_OVERHEAD_BYTES;
    this.#headerBytes += headerBytes(batch.trace);
    return this.#published;
  }
}

function headerBytes(trace: StageTrace | undefined): number {
  return trace === undefined ? 0 : traceHeaderBytes(trace.callContexts.length);
}
