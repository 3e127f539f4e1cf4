/**
 * When the fingerprint index may be believed.
 *
 * The index is evidence about one history of one database. The database names its history by a **generation**, a token
 * that changes whenever it starts anew, is restored, or is replaced. The license binds the index to a generation,
 * remembers one batch of each of the last transactions that the index absorbed, and permits drops only on an answer of the database to a question
 * asked after the records to be dropped had arrived: "which generation are you, and are these batches booked?"
 *
 * A new generation that has brought all of the recent batches along carries the same history on, and the index stays. A
 * batch that was booked anew, by this generation or by one in between, proves nothing: copies may be on their way from
 * which the records have been dropped. So each batch is asked for together with the generation that reported it.
 * That the recent ones speak for all older ones rests on two assumptions: a restored database is what the old one was at
 * some earlier moment, and fewer than half of `maxRecentBatches` transactions are between their commit and the arrival of
 * their acknowledgements and notice at any time (one in between may overtake others).
 */

export interface DropLicense {
  /** What the index is bound to; undefined while it is bound to nothing, and then it is empty. */
  binding(): Binding | undefined;

  /**
   * The store reports a transaction committed, by one of its batches.
   * - `absorb`: add the committed fingerprints of all its batches to the index now.
   * - `revalidate`: it is of another generation than the index. Add nothing, and ask the database.
   */
  onCommitNotice(generation: string, batchId: string): "absorb" | "revalidate";

  /** The question to put to the database, for the records that have arrived by now. */
  ask(): Question;

  /**
   * The database has answered a question. Without an answer nothing is dropped and the index stays.
   * - `confirmed`: same generation. What the index holds now may be dropped now, of the records the question was asked for.
   * - `rebound`: another generation that carries the history on (or the first one). The same is permitted.
   * - `void`: the database has lost batches the index knows. Clear the index now; there is nothing to drop.
   * - `ask-again`: the answer does not speak for the index as it is by now. Drop nothing on it.
   */
  onConfirmation(question: Question, answer: Answer): "confirmed" | "rebound" | "void" | "ask-again";
}

export interface Binding {
  readonly generation: string;
  /** Of the last transactions absorbed, a batch each, oldest first. */
  readonly recent: readonly RecentBatch[];
  /** Changes whenever the index is bound anew, also when it is voided within one generation. */
  readonly serial: number;
}

export interface RecentBatch {
  readonly batchId: string;
  /** What the database was when it reported the batch. */
  readonly generation: string;
}

export interface Question {
  /** The database is to say whether it has booked all of these, each under its generation. */
  readonly recent: readonly RecentBatch[];
  /** What the index is bound to; undefined while it is bound to nothing. */
  readonly generation: string | undefined;
  readonly serial: number;
  readonly absorbed: number;
}

export interface Answer {
  readonly generation: string;
  readonly allBooked: boolean;
}

export interface DropLicenseOptions {
  /** What a loaded index was bound to when it was saved; without it the index must be empty. */
  readonly binding?: Pick<Binding, "generation" | "recent"> | undefined;
  readonly maxRecentBatches?: number;
}

export const defaultMaxRecentBatches = 256;

export function createDropLicense(options: DropLicenseOptions = {}): DropLicense {
  const maxRecentBatches = options.maxRecentBatches ?? defaultMaxRecentBatches;
  /** By batch id: the generation that reported it first. */
  const recent = new Map(options.binding?.recent.map((batch) => [batch.batchId, batch.generation]));
  let generation = options.binding?.generation;
  let serial = 0;
  let absorbed = 0;

  function bind(to: string): void {
    generation = to;
    serial++;
  }

  function listRecent(): RecentBatch[] {
    return Array.from(recent, ([batchId, reportedBy]) => ({ batchId, generation: reportedBy }));
  }

  return {
    binding: () => (generation === undefined ? undefined : { generation, recent: listRecent(), serial }),

    onCommitNotice(noticeGeneration, batchId) {
      if (generation === undefined) bind(noticeGeneration);
      if (noticeGeneration !== generation) return "revalidate";
      absorbed++;
      if (!recent.has(batchId)) recent.set(batchId, noticeGeneration);
      if (recent.size > maxRecentBatches) recent.delete(recent.keys().next().value!);
      return "absorb";
    },

    ask: () => ({ recent: listRecent(), generation, serial, absorbed }),

    onConfirmation(question, answer) {
      if (question.serial !== serial) return "ask-again";
      if (!answer.allBooked) {
        // Under the same generation too: a copy of old data files keeps its token, but not the batches.
        recent.clear();
        bind(answer.generation);
        return "void";
      }
      if (answer.generation === generation) return "confirmed";
      // A late notice of the old generation came in after the question: the answer does not cover its batch.
      if (question.absorbed !== absorbed) return "ask-again";
      bind(answer.generation);
      return "rebound";
    },
  };
}
