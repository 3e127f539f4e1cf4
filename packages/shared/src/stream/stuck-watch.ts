/** What a look at a work queue and its durable showed, in messages. */
export interface QueueLook {
  /** In the stream. */
  messages: number;
  /** Not delivered yet. */
  pending: number;
  /** Delivered, not acknowledged yet. */
  unacknowledged: number;
}

/**
 * Notices messages that lie in a work queue but that its durable will never deliver. After a kill -9 of nats-server,
 * acknowledged messages can stay like that and would fill the stream in time; docs/adr/0003 has the figures.
 */
export class StuckWatch {
  readonly #patienceMs: number;
  #suspiciousSince: number | undefined;

  /** @param patienceMs how long every look must be suspicious; a healthy queue under load is so now and then */
  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** A look that failed, or that tells nothing. */
  forget(): void {
    this.#suspiciousSince = undefined;
  }

  /** Returns how many messages are stuck: 0 until it is certain. After that the watch begins anew. */
  look({ messages, pending, unacknowledged }: QueueLook, nowMs: number): number {
    const unaccounted = messages - pending - unacknowledged;
    if (unaccounted <= 0) {
      this.#suspiciousSince = undefined;
      return 0;
    }
    this.#suspiciousSince ??= nowMs;
    if (nowMs - this.#suspiciousSince < this.#patienceMs) return 0;
    this.#suspiciousSince = undefined;
    return unaccounted;
  }
}
