/** Gives things to one user at a time, in the order in which they asked. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Runs the action once everything that it needs is free. */
  async take<T>(needed: readonly string[], action: () => Promise<T>): Promise<T> {
    const before = needed.map((each) => this.#last.get(each));
    const { promise: over, resolve: release } = Promise.withResolvers<void>();
    // All at once: nobody can wait for somebody who waits for them.
    for (const each of needed) this.#last.set(each, over);
    await Promise.all(before);
    try {
      return await action();
    } finally {
      release();
    }
  }
}
