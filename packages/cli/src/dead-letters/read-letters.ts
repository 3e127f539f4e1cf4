import type {
  DeadLetter,
  DeadLetterState,
} from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import type { CallDeadLetters } from "./calls.ts";
import type { Filter } from "./filter.ts";

/** What one call takes or answers. */
export const PAGE_LETTERS = 1_000;

/** The letters that match, those accepted first at the front, page by page. */
export async function* readMatching(
  call: CallDeadLetters,
  {
    filter,
    state,
    limit = Number.POSITIVE_INFINITY,
  }: { filter: Filter; state: DeadLetterState; limit?: number },
): AsyncGenerator<{ letters: DeadLetter[]; hasMore: boolean }> {
  let left = limit;
  let pageToken = "";
  do {
    const pageSize = Math.min(PAGE_LETTERS, left);
    const page = await call((client) => client.listDeadLetters({ filter, state, pageSize, pageToken }));
    left -= page.deadLetters.length;
    pageToken = page.nextPageToken;
    yield { letters: page.deadLetters, hasMore: pageToken !== "" };
  } while (pageToken !== "" && left > 0);
}

/** These letters, whatever their state, as far as they exist, page by page. */
export async function* readNamed(
  call: CallDeadLetters,
  ids: readonly string[],
): AsyncGenerator<{ ids: string[]; letters: Map<string, DeadLetter> }> {
  for (const page of inPages(ids)) {
    const { deadLetters } = await call((client) => client.listDeadLetters({ ids: page }));
    yield { ids: page, letters: new Map(deadLetters.map((letter) => [letter.id, letter])) };
  }
}

export function* inPages(ids: readonly string[], size = PAGE_LETTERS): Generator<string[]> {
  for (let start = 0; start < ids.length; start += size) yield ids.slice(start, start + size);
}
