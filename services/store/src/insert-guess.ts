/** So many groups of new keys in a row are asked for at most before another try. */
const MAX_NEEDED = 64;

/**
 * Guesses whether the keys of the next group are all new. The last groups tell: loads begin and end, but don't change from
 * one record to the next. A wrong guess costs what was copied in vain, so each one asks for more evidence before the next.
 */
export class InsertGuess {
  #newInARow = 0;
  #needed = 1;

  get isNew(): boolean {
    return this.#newInARow >= this.#needed;
  }

  /** A group was written without a guess. */
  sawGroup(wasAllNew: boolean): void {
    this.#newInARow = wasAllNew ? this.#newInARow + 1 : 0;
  }

  wasRight(): void {
    this.#needed = Math.max(1, this.#needed - 1);
  }

  wasWrong(): void {
    this.#newInARow = 0;
    this.#needed = Math.min(2 * this.#needed, MAX_NEEDED);
  }
}
