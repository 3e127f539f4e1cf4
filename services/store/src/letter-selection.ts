import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type {
  DeadLetterFilter,
  DeadLetterSelection,
} from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { type LetterId, parseLetterId } from "./letter-id.ts";

/** Which dead letters; every member that is there narrows the selection. */
export interface LetterFilter {
  ids?: readonly LetterId[];
  tenantId?: string;
  sourceType?: string;
  sourceId?: string;
  stage?: string;
  reason?: string;
  /** Died, the last time, at or after this. */
  since?: Date;
  /** Died, the last time, before this. */
  before?: Date;
  /** Died for the first time at or before this, by the sink's clock, as it told it. */
  firstSeenBy?: string;
}

const MAX_IDS = 1_000;

/** Throws CallError where a time is out of range. */
export function readFilter(filter: DeadLetterFilter | undefined): LetterFilter {
  if (filter === undefined) return {};
  const { tenantId, sourceType, sourceId, stage, reason, since, before } = filter;
  const texts = Object.entries({ tenantId, sourceType, sourceId, stage, reason });
  for (const [name, text] of texts)
    if (text.includes("\0")) throw invalid(`filter.${name}`, "it holds the character U+0000; leave that out");
  return {
    ...Object.fromEntries(texts.filter(([, text]) => text !== "")),
    ...(since !== undefined && { since: readTime(since, "filter.since") }),
    ...(before !== undefined && { before: readTime(before, "filter.before") }),
  };
}

/** The letters that something is to be done to. Throws CallError where they are not named on purpose. */
export function readSelection(selection: DeadLetterSelection | undefined): LetterFilter {
  const by = selection?.by;
  if (by?.case === "ids") return { ids: readIds(by.value.ids, "selection.ids") };
  if (by?.case === "filter") {
    const filter = readFilter(by.value);
    if (Object.keys(filter).length > 0) return filter;
    throw invalid("selection.filter", "the filter is empty; set a field of it, or all to true");
  }
  if (by?.case === "all" && by.value) return {};
  throw invalid("selection", "nothing says which dead letters; set ids, a filter, or all to true");
}

/** Throws CallError where the text is no letter's id. */
export function readId(text: string, field = "id"): LetterId {
  const id = parseLetterId(text);
  if (id !== undefined) return id;
  throw invalid(
    field,
    `${JSON.stringify(text.slice(0, 80))} is not the id of a dead letter: <uuid>/<number>`,
  );
}

export function invalid(field: string, message: string): CallError {
  return new CallError("invalid_dead_letter_request", message, { field });
}

/** Throws CallError where one is no letter's id, or there are none or too many. */
export function readIds(ids: readonly string[], field: string): LetterId[] {
  if (ids.length >= 1 && ids.length <= MAX_IDS) return ids.map((id) => readId(id, field));
  throw invalid(field, `${ids.length} ids; name 1 to ${MAX_IDS}, or use a filter`);
}

function readTime(timestamp: Timestamp, field: string): Date {
  const time = new Date(timestampMs(timestamp));
  if (Math.abs(time.getUTCFullYear()) < 10_000) return time;
  throw invalid(field, "the time is out of range");
}
