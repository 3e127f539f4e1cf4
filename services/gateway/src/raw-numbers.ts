/** A number that RAW has given out. */
export interface RawNumber {
  /** Names the incarnation of the stream. */
  epoch: bigint;
  sequence: number;
}

/**
 * The numbers that RAW gave the batches of this gateway. One that isn't greater than what had been acknowledged before
 * its batch was sent is the second of its kind: RAW was restored from an older copy, or made anew.
 */
export class RawNumbers {
  #highest: RawNumber | undefined;
  #isSuspect = false;
  /** Up to here numbers are known to come a second time. */
  #rewoundTo = 0;

  /** The highest that was acknowledged by now; undefined before RAW is there. */
  get acknowledged(): RawNumber | undefined {
    return this.#highest;
  }

  /**
   * RAW was looked at: it is this incarnation.
   *
   * @returns up to which number it gives out numbers again, where that is found now
   */
  found(epoch: bigint): number | undefined {
    const isSuspect = this.#isSuspect;
    this.#isSuspect = false;
    if (epoch !== this.#highest?.epoch) {
      this.#highest = { epoch, sequence: 0 };
      this.#rewoundTo = 0;
      return undefined;
    }
    const { sequence } = this.#highest;
    if (!isSuspect || sequence <= this.#rewoundTo) return undefined;
    this.#rewoundTo = sequence;
    return sequence;
  }

  /**
   * RAW has acknowledged a batch.
   *
   * @param before what was acknowledged when the batch was sent
   * @returns whether RAW should be looked at: the number is the second of its kind
   */
  noteAcknowledged(before: RawNumber | undefined, sequence: number): boolean {
    // What was sent to an earlier incarnation says nothing of this one.
    if (before === undefined || before.epoch !== this.#highest?.epoch) return false;
    if (sequence > this.#highest.sequence) this.#highest = { epoch: before.epoch, sequence };
    if (sequence > before.sequence || sequence <= this.#rewoundTo) return false;
    this.#isSuspect = true;
    return true;
  }
}
