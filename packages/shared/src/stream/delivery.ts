import type { JsMsg } from "@nats-io/jetstream";
import { type StageTrace, startStageTrace } from "../telemetry/stage-trace.ts";
import { traceHeaderName } from "../telemetry/trace-header.ts";

/** One batch, held until exactly one of `ack` and `giveBack` is called. */
export interface Delivery {
  bytes: Uint8Array;
  /** The message's sequence in its stream, and the stream's incarnation. */
  sequence: number;
  epoch: bigint;
  /** The batch's place in the message, which may hold several: 0, 1, 2, … */
  place: number;
  /** When the stream stored it: milliseconds since 1970. */
  storedAtMs: number;
  /** 1 on the first delivery. */
  attempt: number;
  /** What is told of the sampled calls in it, ended by `ack` and `giveBack`; undefined where there are none. */
  trace?: StageTrace | undefined;
  /** The work is done and safe downstream. */
  ack(): void;
  /** Deliver again after a wait. */
  giveBack(delayMs: number): void;
}

/** Who takes the batches of a message, and what follows. */
export interface DeliverOptions {
  /** The stream's name, and its incarnation. */
  stream: string;
  epoch: bigint;
  onDelivery(delivery: Delivery): void;
  /**
   * All are settled. One that is given back brings all of its message again: those that have passed do no harm.
   *
   * @param giveBackMs after so long; undefined: all are acknowledged
   */
  onSettled(giveBackMs: number | undefined): void;
}

/** Hands over the batches of a message, each as a delivery of its own. */
export function deliverBatches(
  message: JsMsg,
  batches: readonly Uint8Array[],
  { stream, epoch, onDelivery, onSettled }: DeliverOptions,
): void {
  const attempt = message.info.deliveryCount;
  let unsettled = batches.length;
  let giveBackMs: number | undefined;
  for (const [place, bytes] of batches.entries()) {
    const trace = startStageTrace(traceHeaderOf(message, place), stream, attempt);
    let isSettled = false;
    const settle = (delayMs?: number): void => {
      if (isSettled) return;
      isSettled = true;
      trace?.end(delayMs === undefined ? undefined : "given_back");
      if (delayMs !== undefined) giveBackMs = Math.max(giveBackMs ?? 0, delayMs);
      if (--unsettled === 0) onSettled(giveBackMs);
    };
    onDelivery({
      bytes,
      sequence: message.seq,
      epoch,
      place,
      storedAtMs: message.time.getTime(),
      attempt,
      trace,
      ack: () => settle(),
      giveBack: (delayMs) => settle(delayMs),
    });
  }
}

/** The client throws where the headers are not well formed; nobody but us needs them, and the message is good without. */
function traceHeaderOf(message: JsMsg, place: number): string | undefined {
  try {
    return message.headers?.get(traceHeaderName(place));
  } catch {
    return undefined;
  }
}
