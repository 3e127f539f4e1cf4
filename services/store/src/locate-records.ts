import { create, toBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type LocateRecordsRequest,
  LocateRecordsResponseSchema,
  type RecordFate,
  RecordFateSchema,
  type StateCount,
  StateCountSchema,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { parseUuid } from "@chowhound/shared/record/uuid";
import type { NatsNames } from "@chowhound/shared/stream/topology";
import type { NatsConnection } from "@nats-io/transport-node";
import type { FateReader } from "./fate-reader.ts";
import { formatLetterId } from "./letter-id.ts";
import { peekStreams } from "./peek-streams.ts";

export interface LocateDependencies {
  nc: NatsConnection;
  names: NatsNames;
  fates: FateReader;
}

const DEFAULT_PAGE_SIZE = 100;
/** What a page has beside its fates: counts, gaps, the token, and the length of each fate. */
const OTHER_BYTES = 8 * 1024;
const FRAME_BYTES = 8;

/**
 * An encoded LocateRecordsResponse of at most `maxBytes`: what the streams and the books say of an id. Rejects with
 * CallError, as FateReader and where the page token is none of this listing.
 */
export async function locateRecords(
  tenantId: string,
  request: LocateRecordsRequest,
  maxBytes: number,
  { nc, names, fates: reader }: LocateDependencies,
): Promise<Uint8Array> {
  const id = parseUuid(request.id);
  if (id === undefined) throw invalid("id", "is no uuid in the canonical form");
  const after = readToken(request);
  const sinceUs = request.since === undefined ? undefined : microsecondsOf(request.since);
  // In this order: see peekStreams.
  const inFlight = await peekStreams(nc, names, { tenantId, id });
  const booked = await reader.find(tenantId, id, sinceUs);
  const fates = mergeFates([...inFlight.fates, ...booked.fates]);
  const following = fates.filter((fate) => positionOf(fate) > after);
  const page = following.slice(0, request.pageSize || DEFAULT_PAGE_SIZE);
  await reader.describe(tenantId, page);
  const taken = takeWithin(page, maxBytes - OTHER_BYTES);
  const last = taken.at(-1);
  return toBinary(
    LocateRecordsResponseSchema,
    create(LocateRecordsResponseSchema, {
      fates: taken,
      counts: countStates(fates),
      gaps: [...inFlight.gaps, ...booked.gaps],
      nextPageToken: last === undefined || taken.length === following.length ? "" : tokenAfter(request, last),
    }),
  );
}

/**
 * The fates of each record in each batch once, in the order in which they are listed. A batch that is found at several
 * places is at the one that is given last.
 */
export function mergeFates(fates: readonly RecordFate[]): RecordFate[] {
  const byRecord = new Map(fates.map((fate) => [placeOf(fate), fate]));
  return [...byRecord.values()]
    .map((fate) => ({ fate, position: positionOf(fate) }))
    .sort((a, b) => (a.position < b.position ? -1 : 1))
    .map(({ fate }) => fate);
}

/** Names the record's place in its batch, as a dead letter is named. */
function placeOf({ batch }: RecordFate): string {
  return formatLetterId({ batchId: batch?.batchId ?? "", ordinal: batch?.ordinal ?? 0 });
}

/** A text that sorts fates: by when they were booked, those in flight last, then by batch and place. */
function positionOf({ bookedAt, batch }: RecordFate): string {
  const bookedUs = bookedAt === undefined ? undefined : microsecondsOf(bookedAt);
  const digits = (number: number | bigint): string => String(number).padStart(20, "0");
  // A tilde comes behind all digits.
  return [
    bookedUs === undefined ? "~" : digits(bookedUs),
    digits(batch?.rawSequence ?? 0n),
    batch?.batchId,
    digits(batch?.ordinal ?? 0),
  ].join("/");
}

function microsecondsOf({ seconds, nanos }: Timestamp): number {
  return Number(seconds) * 1_000_000 + Math.floor(nanos / 1000);
}

/** @param fates in their order; a replay counts instead of what it replays */
function countStates(fates: readonly RecordFate[]): StateCount[] {
  const last = new Map(fates.map((fate) => [fate.batch?.replayOf || placeOf(fate), fate]));
  return [...Map.groupBy(last.values(), ({ state }) => state)]
    .map(([state, of]) => create(StateCountSchema, { state, count: of.length }))
    .sort((a, b) => a.state - b.state);
}

/** As many as fit, one at least. */
function takeWithin(fates: readonly RecordFate[], maxBytes: number): RecordFate[] {
  let bytes = 0;
  const end = fates.findIndex((fate) => {
    bytes += toBinary(RecordFateSchema, fate).length + FRAME_BYTES;
    return bytes > maxBytes;
  });
  return end === -1 ? [...fates] : fates.slice(0, Math.max(1, end));
}

/** It proves nothing and need not: whatever it says, the fates are of the tenant that asks. */
function tokenAfter({ id }: LocateRecordsRequest, last: RecordFate): string {
  return Buffer.from(`${id.toLowerCase()} ${positionOf(last)}`).toString("base64url");
}

function readToken({ id, pageToken }: LocateRecordsRequest): string {
  if (pageToken === "") return "";
  const [listing, position] = Buffer.from(pageToken, "base64url").toString().split(" ");
  if (listing !== id.toLowerCase() || position === undefined)
    throw invalid("page_token", "is no next_page_token of this id; send it exactly as it came");
  return position;
}

function invalid(field: string, what: string): CallError {
  return new CallError("invalid_query", `${field} ${what}`, { field });
}
