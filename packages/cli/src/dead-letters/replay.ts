import { setTimeout as sleep } from "node:timers/promises";
import {
  type DeadLetter,
  DeadLetterState,
} from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import type { CallDeadLetters } from "./calls.ts";
import { countOne, sum } from "./counts.ts";
import type { OpenLetters } from "./find-open.ts";
import { inPages, readNamed } from "./read-letters.ts";

/** How a replay has gone so far. */
export class ReplayTally {
  /** Open letters that are to be replayed. */
  matched = 0;
  /** Of those: NATS has acknowledged them. */
  sent = 0;
  /** Of those sent, by the verdict that settled them. */
  readonly landed = new Map<string, number>();
  /** Of those sent, by the reason that they died of now. */
  readonly diedAgain = new Map<string, number>();
  /** Named or matched and not sent, by the reason. */
  skipped = new Map<string, number>();
  /** Of those sent: somebody gave them up meanwhile. */
  discarded = 0;
  /** One letter for each reason in `diedAgain`. */
  readonly examples = new Map<string, DeadLetter>();

  /** Those sent that nothing has become of yet. */
  get waiting(): number {
    return this.sent - sum(this.landed) - sum(this.diedAgain) - this.discarded;
  }

  settle(letter: DeadLetter | undefined): void {
    if (letter?.state === DeadLetterState.RESOLVED) countOne(this.landed, letter.verdict);
    // Settled letters may be removed from the archive.
    else if (letter === undefined) countOne(this.landed, "settled");
    else if (letter.state === DeadLetterState.DISCARDED) this.discarded += 1;
    else {
      countOne(this.diedAgain, letter.reason);
      this.examples.set(letter.reason, letter);
    }
  }
}

/** Sends letters. Those that can't be sent leave `open`. */
export async function send(call: CallDeadLetters, open: OpenLetters, tally: ReplayTally): Promise<void> {
  for (const ids of inPages([...open.keys()])) {
    const before = { sent: tally.sent };
    const skipped = await call(async (client) => {
      const passedOver = new Map<string, string>();
      const request = { selection: { by: { case: "ids", value: { ids } } } } as const;
      for await (const progress of client.replayDeadLetters(request)) {
        for (const { id, reason } of progress.skippedLetters) passedOver.set(id, reason);
        tally.sent = before.sent + Number(progress.published);
      }
      return passedOver;
    });
    // A letter that somebody else settles before its turn is not sent, and needs nothing any more.
    tally.sent = before.sent + ids.length - skipped.size;
    for (const [id, reason] of skipped) {
      open.delete(id);
      countOne(tally.skipped, reason);
    }
  }
}

const MIN_PAUSE_MS = 200;
const MAX_PAUSE_MS = 2_000;

/** Waits until something has become of every letter that was sent. */
export async function untilSettled(
  call: CallDeadLetters,
  sent: OpenLetters,
  tally: ReplayTally,
  signal: AbortSignal,
): Promise<void> {
  const waiting = new Map(sent);
  while (waiting.size > 0) {
    const startedMs = performance.now();
    for await (const { ids, letters } of readNamed(call, [...waiting.keys()])) {
      for (const id of ids) {
        const letter = letters.get(id);
        if (letter?.state === DeadLetterState.OPEN && letter.attempts <= waiting.get(id)!) continue;
        tally.settle(letter);
        waiting.delete(id);
      }
    }
    if (waiting.size === 0) return;
    // Asking takes at most half of the time.
    const tookMs = performance.now() - startedMs;
    await sleep(Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, tookMs)), undefined, { signal });
  }
}
