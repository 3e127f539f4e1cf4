import { DeadLetterState } from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import type { CallDeadLetters } from "./calls.ts";
import { countOne } from "./counts.ts";
import { readMatching, readNamed } from "./read-letters.ts";
import type { Selection } from "./selection.ts";

/** Open letters by their ids, with how often each has died: so it shows later that one has died again. */
export type OpenLetters = Map<string, number>;

/**
 * The letters that something is to be done to, before it is begun: what dies while it is done has no part in it.
 *
 * @param limit the most letters to find
 * @returns also how many of those named are not open, by the reason
 */
export async function findOpen(
  call: CallDeadLetters,
  selection: Selection,
  limit = Number.POSITIVE_INFINITY,
): Promise<{ open: OpenLetters; skipped: Map<string, number> }> {
  const open: OpenLetters = new Map();
  const skipped = new Map<string, number>();
  if ("filter" in selection) {
    const matching = { filter: selection.filter, state: DeadLetterState.OPEN, limit };
    for await (const { letters } of readMatching(call, matching))
      for (const { id, attempts } of letters) open.set(id, attempts);
    return { open, skipped };
  }
  for await (const { ids, letters } of readNamed(call, selection.ids)) {
    for (const id of ids) {
      const letter = letters.get(id);
      if (letter === undefined) countOne(skipped, "not_found");
      else if (letter.state !== DeadLetterState.OPEN) countOne(skipped, "not_open");
      else if (open.size < limit) open.set(id, letter.attempts);
    }
  }
  return { open, skipped };
}
