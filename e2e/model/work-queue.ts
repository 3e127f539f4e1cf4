/** A message as a stage gets it. */
export interface QueuedMessage {
  sequence: number;
  bytes: Uint8Array;
  /** 1 on the first delivery. */
  attempt: number;
}

/** A JetStream work queue: what is not acknowledged can come again, also while somebody still works on it. */
export class WorkQueue {
  readonly #messages = new Map<number, QueuedMessage & { isWaiting: boolean }>();
  #lastSequence = 0;

  get waiting(): number {
    return [...this.#messages.values()].filter(({ isWaiting }) => isWaiting).length;
  }

  /** The sequences of what has been delivered and not been acknowledged. */
  get delivered(): number[] {
    return [...this.#messages.values()].filter(({ isWaiting }) => !isWaiting).map(({ sequence }) => sequence);
  }

  publish(bytes: Uint8Array): void {
    const sequence = ++this.#lastSequence;
    this.#messages.set(sequence, { sequence, bytes, attempt: 0, isWaiting: true });
  }

  /** The oldest message that waits. */
  take(): QueuedMessage {
    const message = [...this.#messages.values()].find(({ isWaiting }) => isWaiting)!;
    message.isWaiting = false;
    message.attempt++;
    return { ...message };
  }

  /** What the wait for an acknowledgement ends in. */
  redeliver(sequence: number): void {
    const message = this.#messages.get(sequence);
    if (message !== undefined) message.isWaiting = true;
  }

  acknowledge(sequence: number): void {
    this.#messages.delete(sequence);
  }
}
