import { create } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type IngestStreamRequest,
  IngestStreamRequestSchema,
  type IngestStreamResponse,
  type Receipt,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { RetryInfoSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import { backoffMs, pause } from "@chowhound/shared/runtime/backoff";
import { Code, ConnectError } from "@connectrpc/connect";
import { secondsOf } from "../proto-time.ts";
import type { Batch } from "./batch.ts";

/** A stream, or an attempt at one, has failed; the batches without a receipt are sent again. */
export interface Retry {
  error: ConnectError;
  waitMs: number;
}

export interface SendOptions {
  batches: AsyncIterator<Batch, void>;
  /** Opens an IngestStream call. */
  open(
    requests: AsyncIterable<IngestStreamRequest>,
    signal: AbortSignal,
  ): AsyncIterable<IngestStreamResponse>;
  /** Called for each batch, in their order; the next receipt waits for it. */
  onReceipt(batch: Batch, receipt: Receipt): Promise<void>;
  onRetry(retry: Retry): void;
  /** For so long it tries in vain to get a receipt before it gives up. */
  maxRetryMs: number;
  /** Aborted: no more batches are taken; what is in flight is finished. */
  stop: AbortSignal;
  /** Aborted: what is in flight is given up too. */
  giveUp: AbortSignal;
  windowBatches?: number;
  answerTimeoutMs?: number;
}

/** As many as the gateway leaves unanswered on one stream, and one on its way. */
const WINDOW_BATCHES = 9;
/** A connection can be dead without having said so. */
const ANSWER_TIMEOUT_MS = 30_000;
const BACKOFF = { minMs: 200, maxMs: 10_000 };
/** Sending the same again can't help. */
const FINAL_CODES: ReadonlySet<Code> = new Set([
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.InvalidArgument,
  Code.Unimplemented,
  Code.NotFound,
  Code.FailedPrecondition,
  Code.OutOfRange,
]);

/**
 * Sends batches on a stream, several at a time, until each has its receipt. When the stream breaks, it waits as it is told to,
 * or longer each time, and sends what has no receipt again on a new one: that is safe at any time. Returns whether it came to the end of `batches`.
 *
 * @throws {ConnectError} the failure that was final, or the last one
 * @throws what `batches` throws, once those before are answered
 */
export async function sendBatches(options: SendOptions): Promise<boolean> {
  const { stop, giveUp } = options;
  const source = createSource(options.batches, stop);
  /** Sent, or about to be, and without a receipt. */
  const unanswered: Batch[] = [];
  let failures = 0;
  /** When the first of them was. */
  let inVainSinceMs = 0;
  const onReceipt = async (batch: Batch, receipt: Receipt): Promise<void> => {
    failures = 0;
    await options.onReceipt(batch, receipt);
  };
  while (unanswered.length > 0 || (await source.isReady())) {
    try {
      await runStream({ ...options, source, unanswered, onReceipt });
    } catch (cause) {
      if (giveUp.aborted || !(cause instanceof ConnectError) || FINAL_CODES.has(cause.code)) throw cause;
      // A stream that breaks while nothing is on its way is opened again when something is.
      if (unanswered.length === 0 && !source.hasReady()) continue;
      if (failures === 0) inVainSinceMs = performance.now();
      const waitMs = retryDelayMs(cause) ?? backoffMs(failures, BACKOFF);
      failures++;
      if (performance.now() - inVainSinceMs + waitMs > options.maxRetryMs) throw cause;
      options.onRetry({ error: cause, waitMs });
      if (!(await pause(waitMs, giveUp))) throw cause;
    }
  }
  source.throwIfFailed();
  return source.isExhausted();
}

interface StreamState extends SendOptions {
  source: Source;
  unanswered: Batch[];
}

/** One call. Resolves when all is answered and the source has ended; throws whatever ends it before. */
async function runStream(state: StreamState): Promise<void> {
  const { source, unanswered, giveUp, windowBatches = WINDOW_BATCHES } = state;
  const { answerTimeoutMs = ANSWER_TIMEOUT_MS } = state;
  const dead = new AbortController();
  let isOver = false;
  let wake = (): void => {};
  let waitsSinceMs = performance.now();

  async function* requests(): AsyncGenerator<IngestStreamRequest, void> {
    for (const batch of [...unanswered]) yield encodeRequest(batch);
    for (;;) {
      while (unanswered.length >= windowBatches && !isOver)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      const isReady = !isOver && (await source.isReady());
      // The next stream takes what this one no longer can.
      if (isOver || !isReady) return;
      if (unanswered.length === 0) waitsSinceMs = performance.now();
      const batch = source.take();
      unanswered.push(batch);
      yield encodeRequest(batch);
    }
  }

  const watch = setInterval(() => {
    if (unanswered.length === 0 || performance.now() - waitsSinceMs < answerTimeoutMs) return;
    dead.abort(
      new ConnectError(`no answer for ${Math.round(answerTimeoutMs / 1000)} s`, Code.DeadlineExceeded),
    );
  }, 250);
  try {
    for await (const response of state.open(requests(), AbortSignal.any([dead.signal, giveUp]))) {
      const batch = unanswered[0];
      if (
        batch === undefined ||
        response.receipt === undefined ||
        batch.number !== Number(response.batchNumber)
      )
        throw new ConnectError(`an unexpected receipt, for batch ${response.batchNumber}`, Code.DataLoss);
      waitsSinceMs = performance.now();
      await state.onReceipt(batch, response.receipt);
      unanswered.shift();
      wake();
    }
    if (!source.isDone() || unanswered.length > 0)
      throw new ConnectError("the gateway has ended the stream", Code.Unavailable);
  } catch (error) {
    throw dead.signal.aborted ? dead.signal.reason : error;
  } finally {
    isOver = true;
    wake();
    clearInterval(watch);
  }
}

/** Batches one by one: a stream may wait for one and break before it comes. */
interface Source {
  /** Waits for the next batch. False where there is none. */
  isReady(): Promise<boolean>;
  hasReady(): boolean;
  take(): Batch;
  /** There is no further batch, or none is wanted. */
  isDone(): boolean;
  isExhausted(): boolean;
  throwIfFailed(): void;
}

function createSource(batches: AsyncIterator<Batch, void>, stop: AbortSignal): Source {
  let isDone = false;
  let isExhausted = false;
  let failure: { error: unknown } | undefined;
  let ready: Batch | undefined;
  let waiting: Promise<void> | undefined;
  const wait = async (): Promise<void> => {
    try {
      const next = await unlessAborted(batches.next(), stop);
      if (next === undefined) isDone = true;
      else if (next.done) isDone = isExhausted = true;
      else ready = next.value;
    } catch (error) {
      // An error out of what a stream reads from would be taken for one of the stream.
      failure = { error };
      isDone = true;
    } finally {
      waiting = undefined;
    }
  };
  return {
    isReady: async () => {
      if (ready === undefined && !isDone) {
        waiting ??= wait();
        await waiting;
      }
      return ready !== undefined;
    },
    hasReady: () => ready !== undefined,
    take: () => {
      const batch = ready!;
      ready = undefined;
      return batch;
    },
    isDone: () => isDone,
    isExhausted: () => isExhausted,
    throwIfFailed: () => {
      if (failure !== undefined) throw failure.error;
    },
  };
}

/**
 * Resolves with undefined where the signal is aborted first. Not a race with one promise of the signal's: that would keep the result
 * of every race alive for as long as it is pending itself.
 */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const onAbort = (): void => resolve(undefined);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([aborted, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** The records are encoded already, so they go as fields that the message needn't know: `bytes` and messages share a wire type. */
function encodeRequest(batch: Batch): IngestStreamRequest {
  const message = create(IngestStreamRequestSchema, { batchNumber: BigInt(batch.number) });
  message.$unknown = batch.records.map(({ bytes }) => ({
    no: IngestStreamRequestSchema.field.records.number,
    wireType: WireType.LengthDelimited,
    data: new BinaryWriter().bytes(bytes).finish(),
  }));
  return message;
}

/** What the gateway asks for, with a little on top so that not all producers come at once. */
function retryDelayMs(error: ConnectError): number | undefined {
  const [retry] = error.findDetails(RetryInfoSchema);
  if (retry?.retryDelay === undefined) return undefined;
  return secondsOf(retry.retryDelay) * 1000 * (1 + Math.random() / 4);
}
