import { randomBytes } from "node:crypto";
import { HASH_BYTES } from "@chowhound/shared/record/content-hash";
import {
  type CallContexts,
  MAX_TRACED_CALLS,
  type SpanContext,
} from "@chowhound/shared/telemetry/trace-header";
import { encodeBatch } from "./encode-batch.ts";
import { type EnteringRecord, isKnown } from "./known-record.ts";
import type { RawNumber } from "./raw-numbers.ts";

/** What a batch says about a call. */
export interface CallOrigin {
  tenantId: string;
  /** 16 bytes. */
  receiptId: Uint8Array;
  traceparent: string;
  tracestate: string;
  /** The call's span in this process; undefined where it isn't sampled. */
  span?: SpanContext | undefined;
}

export interface BatcherOptions {
  /** Known ones count an eighth: what is left of them is little. */
  maxRecords: number;
  /** A batch is sent before it would exceed this; a single larger record goes alone. */
  maxBytes(): number;
  /** From one batch to the next of its partition, where that isn't full. */
  lingerMs: number;
  partitionOf(tenantId: string, record: EnteringRecord): number;
  /** The highest number of RAW that is acknowledged by now: each batch tells it. */
  acknowledged?(): RawNumber | undefined;
  /** Resolves when the batch is safe. */
  publish(batch: OutgoingBatch): Promise<void>;
}

/** A batch that leaves. */
export interface OutgoingBatch {
  partition: number;
  /** The encoded RecordBatch. */
  message: Uint8Array;
  /** 16 bytes. */
  batchId: Uint8Array;
  records: number;
  sampled: CallContexts;
  /** 16 bytes a record, as its calls had them; undefined where they had none, or nothing of it is new. */
  fingerprints: Buffer | undefined;
}

/** What a record and a call take in a batch beside their own bytes, at most. */
const RECORD_OVERHEAD_BYTES = 64;
const CALL_OVERHEAD_BYTES = 160;
const FIRST_FINGERPRINTS = 64;
/** So many known records take the room of a new one. */
const KNOWN_PER_RECORD = 8;
/** Whatever they are: the most that a batch is ever meant to hold. */
const MAX_BATCH_RECORDS = 5_000;
/** What is left from one batch to the next of how many calls there have been at once. */
const FORGETTING = 0.9;
/** Whoever was answered asks again within it, if at once. */
const ASK_AGAIN_MS = 3;

/**
 * Merges the records of calls into batches, per partition, for every batch has its price at every hop. A batch leaves when it is full.
 * One that isn't leaves when the one before it has been acknowledged, for the stream takes one after the other, and when the linger is
 * over since that one left, or earlier, when as many calls wait as there lately have been at once: then nobody else is likely to come.
 * So a call that comes alone waits for nothing, callers who ask again when they are answered aren't held up, and of many small calls the
 * batches become the larger the slower the mesh.
 */
export class Batcher {
  readonly #options: BatcherOptions;
  readonly #lanes = new Map<number, Lane>();

  constructor(options: BatcherOptions) {
    this.#options = options;
  }

  /**
   * Resolves, once every record is in an acknowledged batch, with when they were accepted (microseconds). Rejects with
   * the first failure, after all batches with records of the call have been settled.
   *
   * @param fingerprints 16 bytes a record
   */
  submit(
    origin: CallOrigin,
    records: readonly EnteringRecord[],
    fingerprints?: Buffer | undefined,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const call = new PendingCall(origin, fingerprints, resolve, reject);
      for (let index = 0; index < records.length; index++) {
        const record = records[index]!;
        this.#lane(this.#options.partitionOf(origin.tenantId, record)).add(call, record, index);
      }
    });
  }

  /** Sends what is open and waits until nothing is on its way. */
  async drain(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map((lane) => lane.drain()));
  }

  #lane(partition: number): Lane {
    let lane = this.#lanes.get(partition);
    if (lane === undefined) {
      lane = new Lane(partition, this.#options);
      this.#lanes.set(partition, lane);
    }
    return lane;
  }
}

/** A call and how many batches with records of it are not settled yet. */
class PendingCall {
  readonly origin: CallOrigin;
  readonly fingerprints: Buffer | undefined;
  readonly #resolve: (acceptedAtUs: number) => void;
  readonly #reject: (error: unknown) => void;
  #unsettled = 0;
  #acceptedAtUs = 0;
  #failure: { error: unknown } | undefined;

  constructor(
    origin: CallOrigin,
    fingerprints: Buffer | undefined,
    resolve: (acceptedAtUs: number) => void,
    reject: (error: unknown) => void,
  ) {
    this.origin = origin;
    this.fingerprints = fingerprints;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  joined(): void {
    this.#unsettled++;
  }

  settled(acceptedAtUs: number, failure: { error: unknown } | undefined): void {
    this.#unsettled--;
    this.#acceptedAtUs = Math.max(this.#acceptedAtUs, acceptedAtUs);
    this.#failure ??= failure;
    if (this.#unsettled > 0) return;
    if (this.#failure === undefined) this.#resolve(this.#acceptedAtUs);
    else this.#reject(this.#failure.error);
  }
}

/** One partition: at most one open batch, and any number on their way. */
class Lane {
  readonly #partition: number;
  readonly #options: BatcherOptions;
  #open = new OpenBatch(undefined);
  #onTheirWay = 0;
  #callsOnTheirWay = 0;
  /** The most calls that were open or on their way at once; forgets slowly. */
  #callsAtOnce = 0;
  /** When the last batch left. */
  #leftMs = Number.NEGATIVE_INFINITY;
  /** When the last batch was acknowledged, or failed. */
  #acknowledgedMs = Number.NEGATIVE_INFINITY;
  /** When the open one leaves, however much comes. */
  #latestMs = 0;
  /** Of a batch that may leave. */
  #endOfTurn: NodeJS.Immediate | undefined;
  #endOfLinger: NodeJS.Timeout | undefined;
  #idle: () => void = () => {};

  constructor(partition: number, options: BatcherOptions) {
    this.#partition = partition;
    this.#options = options;
  }

  /** @param index of the record in its call */
  add(call: PendingCall, record: EnteringRecord, index: number): void {
    if (this.#open.count > 0 && this.#open.bytesWith(call, record) > this.#options.maxBytes()) this.#flush();
    this.#open.add(call, record, index);
    this.#callsAtOnce = Math.max(this.#callsAtOnce, this.#callsOnTheirWay + this.#open.newCalls);
    const isFull =
      this.#open.weight >= this.#options.maxRecords ||
      this.#open.count === MAX_BATCH_RECORDS ||
      this.#open.sampledCalls === MAX_TRACED_CALLS;
    if (isFull) this.#flush();
    else if (this.#onTheirWay === 0) this.#flushSoon();
  }

  async drain(): Promise<void> {
    this.#flush();
    while (this.#onTheirWay > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
  }

  #flushSoon(): void {
    const isEverybodyHere = this.#open.calls >= this.#callsAtOnce;
    if (this.#endOfTurn !== undefined || (this.#endOfLinger !== undefined && !isEverybodyHere)) return;
    clearTimeout(this.#endOfLinger);
    const { lingerMs } = this.#options;
    const nowMs = performance.now();
    const askAgainMs = Math.min(lingerMs, ASK_AGAIN_MS);
    const dueMs = Math.max(this.#leftMs + lingerMs, this.#acknowledgedMs + askAgainMs);
    const waitMs = isEverybodyHere ? 0 : Math.max(0, dueMs - nowMs);
    this.#latestMs = nowMs + waitMs + lingerMs;
    if (waitMs > 0) this.#endOfLinger = setTimeout(() => this.#flushWhenQuiet(), waitMs);
    else this.#flushWhenQuiet();
  }

  /** At the end of the first turn that brings nothing more: whoever was answered together asks again together. */
  #flushWhenQuiet(): void {
    this.#endOfLinger = undefined;
    const { count } = this.#open;
    this.#endOfTurn = setImmediate(() => {
      if (this.#open.count > count && performance.now() < this.#latestMs) this.#flushWhenQuiet();
      else this.#flush();
    });
  }

  #flush(): void {
    clearImmediate(this.#endOfTurn);
    clearTimeout(this.#endOfLinger);
    this.#endOfTurn = undefined;
    this.#endOfLinger = undefined;
    if (this.#open.count === 0) return;
    const batch = this.#open;
    this.#open = new OpenBatch(batch.lastCall);
    this.#leftMs = performance.now();
    this.#onTheirWay++;
    this.#callsOnTheirWay += batch.newCalls;
    this.#callsAtOnce = Math.max(this.#callsOnTheirWay, this.#callsAtOnce * FORGETTING);
    // Taken before publishing, so that a record is never in the mesh before it was accepted.
    const acceptedAtUs = Date.now() * 1000;
    const acknowledged = this.#options.acknowledged?.();
    // Within the promise: also where there is no memory to put the message together, its calls are settled.
    Promise.try(() => this.#options.publish(batch.close(this.#partition, acceptedAtUs, acknowledged)))
      .then(
        () => batch.settle(acceptedAtUs, undefined),
        (error: unknown) => batch.settle(acceptedAtUs, { error }),
      )
      .then(() => this.#arrived(batch.newCalls));
  }

  #arrived(calls: number): void {
    this.#onTheirWay--;
    this.#callsOnTheirWay -= calls;
    this.#acknowledgedMs = performance.now();
    if (this.#onTheirWay > 0) return;
    if (this.#open.count > 0) this.#flushSoon();
    else this.#idle();
  }
}

/** A batch that still takes records. */
class OpenBatch {
  readonly #records: EnteringRecord[] = [];
  readonly #callOf: number[] = [];
  readonly #calls: PendingCall[] = [];
  readonly #before: PendingCall | undefined;
  #bytes = 0;
  #known = 0;
  #sampledCalls = 0;
  #fingerprints: Buffer | undefined;

  /** @param before the call of the last record in the batch before this one: it may go on here */
  constructor(before: PendingCall | undefined) {
    this.#before = before;
  }

  get count(): number {
    return this.#records.length;
  }

  /** In new records. */
  get weight(): number {
    return this.count - this.#known + this.#known / KNOWN_PER_RECORD;
  }

  get calls(): number {
    return this.#calls.length;
  }

  /** Without the one that began in the batch before. */
  get newCalls(): number {
    return this.#calls.length - (this.#calls.length > 0 && this.#calls[0] === this.#before ? 1 : 0);
  }

  get lastCall(): PendingCall | undefined {
    return this.#calls.at(-1);
  }

  get sampledCalls(): number {
    return this.#sampledCalls;
  }

  get sampled(): CallContexts {
    const contexts = new Map<number, SpanContext>();
    for (const [index, { origin }] of this.#calls.entries())
      if (origin.span !== undefined) contexts.set(index, origin.span);
    return contexts;
  }

  bytesWith(call: PendingCall, record: EnteringRecord): number {
    const ofCall = call === this.lastCall ? 0 : callBytes(call.origin);
    // Each of the known ones may be the only one of its source.
    const ofRecord = isKnown(record)
      ? record.writtenSource.length + call.origin.tenantId.length
      : record.bytes.length;
    return this.#bytes + ofCall + ofRecord + RECORD_OVERHEAD_BYTES;
  }

  add(call: PendingCall, record: EnteringRecord, index: number): void {
    this.#bytes = this.bytesWith(call, record);
    // The records of a call come one after the other.
    if (call !== this.lastCall) {
      this.#calls.push(call);
      if (call.origin.span !== undefined) this.#sampledCalls++;
      call.joined();
    }
    if (call.fingerprints !== undefined) this.#keepFingerprint(call.fingerprints, index);
    this.#callOf.push(this.#calls.length - 1);
    this.#records.push(record);
    if (isKnown(record)) this.#known++;
  }

  close(partition: number, acceptedAtUs: number, acknowledged: RawNumber | undefined): OutgoingBatch {
    const calls = this.#calls.map(({ origin }) => origin);
    const batchId = randomBytes(16);
    const [records, callOf] = [this.#records, this.#callOf];
    return {
      partition,
      message: encodeBatch({ batchId, acceptedAtUs, partition, calls, records, callOf, acknowledged }),
      batchId,
      records: this.count,
      sampled: this.sampled,
      fingerprints:
        this.#known === this.count ? undefined : this.#fingerprints?.subarray(0, this.count * HASH_BYTES),
    };
  }

  #keepFingerprint(ofCall: Buffer, index: number): void {
    const at = this.count * HASH_BYTES;
    let kept = this.#fingerprints ?? Buffer.allocUnsafe(FIRST_FINGERPRINTS * HASH_BYTES);
    if (at === kept.length) kept = Buffer.concat([kept], 2 * at);
    // In a third of the time that `copy` takes.
    const from = index * HASH_BYTES;
    for (let i = 0; i < HASH_BYTES; i++) kept[at + i] = ofCall[from + i]!;
    this.#fingerprints = kept;
  }

  settle(acceptedAtUs: number, failure: { error: unknown } | undefined): void {
    for (const call of this.#calls) call.settled(acceptedAtUs, failure);
  }
}

function callBytes({ tenantId, traceparent, tracestate }: CallOrigin): number {
  return CALL_OVERHEAD_BYTES + tenantId.length + traceparent.length + tracestate.length;
}
