import { isReplay } from "@chowhound/shared/batch/batch-columns";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { DeadRecord } from "./incoming-record.ts";
import { formatLetterId, type LetterId, replayedLetter } from "./letter-id.ts";
import type { Verdict } from "./verdict.ts";

/** A letter whose record died again, so many times. */
export interface Relapse {
  letter: LetterId;
  record: DeadRecord;
  deaths: number;
}

/** A letter whose record came to something else than a dead letter. */
export interface Resolution {
  letter: LetterId;
  verdict: Verdict;
  replay: RecordBatch;
}

/**
 * Decides what becomes of dead letters in one transaction: which are new, which died again, which are resolved.
 *
 * - A replayed record speaks for its letter. While that is open it resolves the letter, or, dying again, leaves it open.
 * - A letter that is settled stays as it is, whatever a later replay comes to.
 * - A record that dies and has no letter gets one: new, or replayed into a database that lacks its letter.
 *
 * What it returns is the letters that each record takes off the open ones, so that at any time
 * open letters = deaths - reclaimed - discarded.
 */
export class LetterSettlement {
  readonly fresh: DeadRecord[] = [];
  readonly #relapses = new Map<string, Relapse>();
  readonly #resolutions = new Map<string, Resolution>();
  readonly #isOpen: Map<string, boolean>;

  /** @param isOpen of the letters that are replayed, those that are there, by their ids as text */
  constructor(isOpen: ReadonlyMap<string, boolean>) {
    this.#isOpen = new Map(isOpen);
  }

  get relapses(): Relapse[] {
    return [...this.#relapses.values()];
  }

  get resolutions(): Resolution[] {
    return [...this.#resolutions.values()];
  }

  /** A record was applied to the table. */
  landed({ batch, index }: { batch: RecordBatch; index: number }, verdict: Verdict): 0 | 1 {
    if (!isReplay(batch)) return 0;
    const letter = replayedLetter(batch, index);
    const id = formatLetterId(letter);
    if (this.#isOpen.get(id) !== true) return 0;
    this.#isOpen.set(id, false);
    this.#resolutions.set(id, { letter, verdict, replay: batch });
    return 1;
  }

  /** A record could not be processed. */
  died(record: DeadRecord): 0 | 1 {
    const letter = isReplay(record.batch) ? replayedLetter(record.batch, record.index) : undefined;
    const id = letter === undefined ? "" : formatLetterId(letter);
    const isOpen = this.#isOpen.get(id);
    if (letter === undefined || isOpen === undefined) {
      this.fresh.push(record);
      return 0;
    }
    if (isOpen) {
      const deaths = (this.#relapses.get(id)?.deaths ?? 0) + 1;
      this.#relapses.set(id, { letter, record, deaths });
    }
    // Open: the old death is made good by the new one. Settled: nothing is left to be kept.
    return 1;
  }
}
