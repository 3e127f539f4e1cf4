import type { JsMsg } from "@nats-io/jetstream";

/** Long enough for the next batch to come where there are many small ones; nothing against any `ack_wait`. */
const HOLD_MS = 25;

/**
 * Holds the latest acknowledgement back until the next one, or for a moment. An acknowledgement that empties a work queue has the
 * server delete a file, and the next message make and sync another: with small batches, one by one, that was a quarter of
 * what nats-server did. A message whose acknowledgement is lost with the process comes again, as ever.
 */
export class HeldAck {
  #message: Pick<JsMsg, "ack"> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Sends the one that is held, and holds this one. */
  follow(message: Pick<JsMsg, "ack">): void {
    const before = this.#message;
    this.#message = message;
    before?.ack();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.send(), HOLD_MS);
  }

  /** Sends the one that is held, if any. */
  send(): void {
    clearTimeout(this.#timer);
    this.#message?.ack();
    this.#message = undefined;
  }
}
