/**
 * Up to which change of a bucket all are known. Changes are numbered 1, 2, 3, … and mostly, but not always, come in that order: one's
 * own is known before somebody else's that was stored before it.
 */
export class Revisions {
  #through = 0n;
  /** Beyond the first that is missing. */
  readonly #ahead = new Set<bigint>();

  /** Everything up to this one has been loaded. */
  loaded(through: bigint): void {
    this.#through = through;
    this.#ahead.clear();
  }

  note(revision: bigint): void {
    if (revision <= this.#through) return;
    this.#ahead.add(revision);
    while (this.#ahead.delete(this.#through + 1n)) this.#through++;
  }

  /** The last change; undefined while one before it is missing. */
  get current(): bigint | undefined {
    return this.#ahead.size === 0 ? this.#through : undefined;
  }
}
