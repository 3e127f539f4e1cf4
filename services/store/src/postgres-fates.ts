import { create } from "@bufbuild/protobuf";
import {
  type RecordFate,
  RecordState,
  type SearchGap,
  SearchGapSchema,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { formatUuid, uuidV7Us } from "@chowhound/shared/record/uuid";
import type { FateReader, FoundFates } from "./fate-reader.ts";
import { FoundInvoices, INVOICE, type InvoiceRow } from "./invoice-fates.ts";
import { inMicroseconds } from "./landed-row.ts";
import { formatLetterId, parseLetterId } from "./letter-id.ts";
import { timeOf } from "./letter-rows.ts";
import type { ReadPool, Run } from "./read-pool.ts";
import { readLetters, readLettersOf, readRows, toDeadLetter, toFate, toLocatedRow } from "./record-traces.ts";
import { type TimeWindow, windowsBack } from "./search-windows.ts";

/** Between the time in an id that a gateway made and the acceptance of its batch: no more, also when a clock was set. */
const BEFORE_US = 10_000_000;
const AFTER_US = 30_000_000;
/** Gateways' clocks may be ahead of ours. */
const AHEAD_US = 60_000_000;
/** An id from later than this was not made by a gateway. */
const FUTURE_US = 3_600_000_000;
const AROUND_PATIENCE_MS = 1_500;
/** How long invoices are searched for a uuid that could be in any: when nothing is found yet, and when something is. */
const PATIENCE_MS = 2_000;
const FOUND_PATIENCE_MS = 500;
/** What is in memory at a time: anybody may have sent one uuid any number of times. */
const FETCH_INVOICES = 50;
const MAX_FATES = 20_000;
/** Of one uuid, found by the uuid; the others are found with their invoices. */
const MAX_LETTERS = 1_000;

/** Reads what became of records from PostgreSQL: from the details of invoices, the rows and the dead letters. */
export class PostgresFates implements FateReader {
  readonly #pool: ReadPool;

  constructor(pool: ReadPool) {
    this.#pool = pool;
  }

  async find(tenantId: string, id: Uint8Array, sinceUs: number | undefined): Promise<FoundFates> {
    const nowUs = Date.now() * 1000;
    const madeUs = timeIn(id, nowUs);
    const found = new FoundInvoices(tenantId, id);
    const gaps: SearchGap[] = [];
    const { watermarkUs } = await this.#pool.read(async (run) => {
      gaps.push(...(await findNamed(run, found)));
      return await readWatermark(run);
    });
    if (madeUs !== undefined) {
      const around = { fromUs: madeUs - BEFORE_US, beforeUs: madeUs + AFTER_US };
      if (!(await this.#search(found, around, AROUND_PATIENCE_MS))) gaps.push(booksGap(around));
    }
    const fromUs = sinceUs ?? (madeUs === undefined ? 0 : madeUs - BEFORE_US);
    // The batches of a call, and their replays, were all accepted at its time.
    if (!found.isReceipt) {
      const patienceMs = sinceUs === undefined && found.fates.length > 0 ? FOUND_PATIENCE_MS : PATIENCE_MS;
      const left = await this.#searchBack(found, { fromUs, beforeUs: nowUs + AHEAD_US }, patienceMs);
      if (left !== undefined) gaps.push(booksGap(left));
    }
    const searchedFromUs = Math.min(fromUs, madeUs === undefined ? fromUs : madeUs - BEFORE_US);
    if (watermarkUs !== undefined && searchedFromUs <= watermarkUs) gaps.push(compactedGap(watermarkUs));
    if (found.unknownRecords > 0) gaps.push(unknownGap(found.unknownRecords));
    return { fates: found.fates, gaps };
  }

  async describe(tenantId: string, fates: readonly RecordFate[]): Promise<void> {
    if (fates.length === 0) return;
    const uuids = [...new Set(fates.map(({ uuid }) => uuid))];
    const ids = [...new Set(fates.flatMap(letterIdsOf))].map((id) => parseLetterId(id)!);
    const [rows, letters] = await this.#pool.read(async (run) => [
      new Map((await readRows(run, tenantId, uuids)).map((row) => [row.uuid, row])),
      new Map((await readLetters(run, tenantId, ids)).map((letter) => [formatLetterId(letter), letter])),
    ]);
    for (const fate of fates) {
      const row = rows.get(fate.uuid);
      if (row !== undefined) fate.row = toLocatedRow(row, fate);
      const letter = letterIdsOf(fate)
        .map((id) => letters.get(id))
        .find((found) => found !== undefined);
      if (letter !== undefined) fate.deadLetter = toDeadLetter(letter);
    }
  }

  /** Searches a long time, its end first; returns what there was no time for. */
  async #searchBack(
    found: FoundInvoices,
    { fromUs, beforeUs }: TimeWindow,
    patienceMs: number,
  ): Promise<TimeWindow | undefined> {
    const deadlineMs = performance.now() + patienceMs;
    for (const window of windowsBack({ fromUs, beforeUs })) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0 || !(await this.#search(found, window, leftMs)))
        return { fromUs, beforeUs: window.beforeUs };
    }
    return undefined;
  }

  /** Searches the invoices of the window; false where there was no time for all of them. */
  async #search(
    found: FoundInvoices,
    { fromUs, beforeUs }: TimeWindow,
    patienceMs: number,
  ): Promise<boolean> {
    const deadlineMs = performance.now() + patienceMs;
    const cursor = {
      text: `declare matching no scroll cursor for select ${INVOICE} from invoices
        where accepted_at >= ${timeOf("$1::bigint")} and accepted_at < ${timeOf("$2::bigint")}
          and position($3::bytea in detail) > 0`,
      values: [fromUs, beforeUs, found.id],
    };
    const fetch = { text: `fetch ${FETCH_INVOICES} from matching`, values: [] };
    const search = async (run: Run): Promise<boolean> => {
      await run(cursor);
      while (performance.now() < deadlineMs && found.fates.length < MAX_FATES) {
        const invoices = await run<InvoiceRow>(fetch);
        found.add(invoices);
        if (invoices.length < FETCH_INVOICES) return true;
      }
      return false;
    };
    try {
      return await this.#pool.read(search, { statementTimeoutMs: Math.ceil(patienceMs) });
    } catch (error) {
      if (error instanceof CallError && error.reason === "query_too_slow") return false;
      throw error;
    }
  }
}

/** Up to which time of acceptance invoices have been compacted. */
async function readWatermark(run: Run): Promise<{ watermarkUs: number | undefined }> {
  const [row] = await run<{ us: string | null }>({
    text: `select ${inMicroseconds("max(through_accepted_at)")} as us from compacted_invoices
      where through_accepted_at > '-infinity'`,
    values: [],
  });
  return { watermarkUs: row?.us == null ? undefined : Number(row.us) };
}

/** The letters that a fate may have: the one that it replays, else its own. */
function letterIdsOf({ state, batch }: RecordFate): string[] {
  if (state !== RecordState.DEAD_LETTERED) return [];
  const { batchId = "", ordinal = 0, replayOf = "" } = batch ?? {};
  const own = formatLetterId({ batchId, ordinal });
  return replayOf === "" ? [own] : [replayOf, own];
}

/**
 * Finds what the row and the dead letters of the uuid lead to; where their invoices are gone, what they say themselves.
 * Returns what there was too much of.
 */
async function findNamed(run: Run, found: FoundInvoices): Promise<SearchGap[]> {
  const uuid = formatUuid(found.id);
  const rows = await readRows(run, found.tenantId, [uuid]);
  const letters = await readLettersOf(run, found.tenantId, uuid, MAX_LETTERS);
  const named = [
    ...rows.map(({ batchId }) => batchId),
    ...letters.flatMap(({ batchId, replayBatchId }) => [batchId, ...(replayBatchId ? [replayBatchId] : [])]),
  ];
  for (let first = 0; first < named.length; first += FETCH_INVOICES)
    found.add(
      await run<InvoiceRow>({
        text: `select ${INVOICE} from invoices where batch_id = any($1::uuid[]) and detail is not null`,
        values: [named.slice(first, first + FETCH_INVOICES)],
      }),
    );
  for (const row of rows) {
    if (found.hasSearched(row.batchId)) continue;
    found.fates.push(toFate(row, { state: RecordState.LANDED, bookedUs: row.storedUs, ordinal: 0 }));
  }
  for (const letter of letters) {
    if (found.hasSearched(letter.batchId)) continue;
    const { ordinal, firstSeenUs: bookedUs } = letter;
    found.fates.push(toFate(letter, { state: RecordState.DEAD_LETTERED, bookedUs, ordinal }));
  }
  return letters.length < MAX_LETTERS ? [] : [lettersGap()];
}

/** The time inside an id, where it can be that of its acceptance. */
function timeIn(id: Uint8Array, nowUs: number): number | undefined {
  const us = uuidV7Us(id);
  return us === undefined || us > nowUs + FUTURE_US ? undefined : us;
}

function booksGap({ fromUs, beforeUs }: TimeWindow): SearchGap {
  const from = fromUs === 0 ? "" : ` from ${formatUs(fromUs)}`;
  return create(SearchGapSchema, {
    where: "books",
    message: `not all was searched of what was accepted${from} before ${formatUs(beforeUs)}; set since to search a shorter time`,
  });
}

function lettersGap(): SearchGap {
  return create(SearchGapSchema, {
    where: "books",
    message: `the uuid has ${MAX_LETTERS} dead letters or more; of those that are older, only what the books still have was searched`,
  });
}

function unknownGap(records: number): SearchGap {
  return create(SearchGapSchema, {
    where: "books",
    message: `an older dedup has dropped ${records} records of the same batches as settled before, without saying of which call they were`,
  });
}

function compactedGap(watermarkUs: number): SearchGap {
  return create(SearchGapSchema, {
    where: "books",
    message: `the books up to ${formatUs(watermarkUs)} have been compacted: of what was accepted until then, only rows and dead letters are left to be found, by uuid`,
  });
}

function formatUs(us: number): string {
  return new Date(Math.floor(us / 1000)).toISOString();
}
