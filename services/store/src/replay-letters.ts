import { validateRecord } from "@chowhound/shared/record/validate-record";
import type { DeadLetterArchive, LetterPlace, PageLimits, WholeLetter } from "./dead-letter-archive.ts";
import type { LetterFilter } from "./letter-selection.ts";
import type { ReplayableLetter } from "./replay-batch.ts";

/** A letter that can't be sent, and why. */
export interface SkippedLetter {
  letter: WholeLetter;
  reason: string;
}

/** How far a replay has come, after each page. */
export interface ReplayProgress {
  /** Letters that were open when it began. */
  matched: number;
  published: number;
  skipped: number;
  /** Of those matched, what has not been looked at. */
  remaining: number;
  /** Those of the page. */
  skippedLetters: SkippedLetter[];
}

export interface ReplayOptions {
  archive: Pick<DeadLetterArchive, "countOpen" | "openPage">;
  /** Has letters of one batch in RAW when it resolves. Rejects where that can't be. */
  publish(letters: readonly ReplayableLetter[]): Promise<void>;
  /** The most letters to send. */
  limit: number;
  /** Of one record, and of the records of one message. */
  maxRecordBytes: number;
  maxBatchBytes: number;
}

/** What is in memory at once. */
const PAGE: PageLimits = { letters: 100, bytes: 4 * 1024 ** 2 };

/**
 * Sends open letters again, page by page in their order. It writes nothing: what becomes of each letter is decided where
 * its record is booked. So it can be broken off anywhere and begun again; a letter that is sent twice is settled once.
 */
export async function* replayLetters(
  filter: LetterFilter,
  { archive, publish, limit, maxRecordBytes, maxBatchBytes }: ReplayOptions,
): AsyncGenerator<ReplayProgress> {
  const { count: matched, now } = await archive.countOpen(filter);
  // Letters that come while it runs are not its own: a broken pipeline under load must not keep it going for ever.
  const present = { ...filter, firstSeenBy: now };
  let published = 0;
  let skipped = 0;
  let after: LetterPlace | undefined;
  yield { matched, published, skipped, remaining: matched, skippedLetters: [] };
  while (published < limit) {
    const limits = { ...PAGE, letters: Math.min(PAGE.letters, limit - published) };
    const page = await archive.openPage(present, { after, limits });
    const { replayable, skippedLetters } = sort(page, maxRecordBytes);
    await Promise.all(groupByBatch(replayable, maxBatchBytes).map(publish));
    after = page.at(-1);
    published += replayable.length;
    skipped += skippedLetters.length;
    // Others may settle letters meanwhile; at the end nothing is left.
    const remaining = after === undefined ? 0 : Math.max(0, matched - published - skipped);
    yield { matched, published, skipped, remaining, skippedLetters };
    if (after === undefined) return;
  }
}

/** Records pass the door's checks again: they find out anew what stands beside a record in a batch. */
function sort(
  letters: readonly WholeLetter[],
  maxRecordBytes: number,
): { replayable: ReplayableLetter[]; skippedLetters: SkippedLetter[] } {
  const replayable: ReplayableLetter[] = [];
  const skippedLetters: SkippedLetter[] = [];
  for (const letter of letters) {
    if (letter.reason === "undecodable_batch") {
      skippedLetters.push({ letter, reason: letter.reason });
      continue;
    }
    const { tenantId, original } = letter;
    const record = validateRecord(original, { tenantId, nowMs: Date.now(), maxRecordBytes });
    if (record.kind === "accepted") replayable.push({ letter, record });
    else skippedLetters.push({ letter, reason: record.reason });
  }
  return { replayable, skippedLetters };
}

/** Neighbours of one batch together, as far as they fit into a message. */
function groupByBatch(letters: readonly ReplayableLetter[], maxBytes: number): ReplayableLetter[][] {
  const groups: ReplayableLetter[][] = [];
  let bytes = 0;
  for (const replayable of letters) {
    const group = groups.at(-1);
    bytes += replayable.record.bytes.length;
    if (group?.[0]?.letter.batchId === replayable.letter.batchId && bytes <= maxBytes) group.push(replayable);
    else {
      groups.push([replayable]);
      bytes = replayable.record.bytes.length;
    }
  }
  return groups;
}
