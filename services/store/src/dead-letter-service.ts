import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type DeadLetterSchema,
  DeadLetterService,
  DeadLetterState,
  type DiscardDeadLettersRequest,
  type GetDeadLetterResponseSchema,
  type ListDeadLettersRequest,
  type ListDeadLettersResponseSchema,
} from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { CallError } from "@chowhound/shared/errors/call-error";
import type { ExtraService } from "@chowhound/shared/rpc/admin-server";
import { unaryHandlers } from "@chowhound/shared/rpc/grpc-service";
import { serverStreamHandler } from "@chowhound/shared/rpc/server-stream";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type {
  DeadLetterArchive,
  Letter,
  LetterPlace,
  LetterState,
  WholeLetter,
} from "./dead-letter-archive.ts";
import { formatLetterId } from "./letter-id.ts";
import { formatPlace, readPlace } from "./letter-place.ts";
import { invalid, readFilter, readId, readIds, readSelection } from "./letter-selection.ts";
import type { Replay } from "./replay.ts";

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1_000;
/** Letters that one transaction discards. */
const DISCARD_PAGE = 1_000;
const MAX_NOTE_BYTES = 1_000;
const MAX_NAME_BYTES = 200;

const STATES: Record<DeadLetterState, LetterState> = {
  [DeadLetterState.UNSPECIFIED]: "open",
  [DeadLetterState.OPEN]: "open",
  [DeadLetterState.RESOLVED]: "resolved",
  [DeadLetterState.DISCARDED]: "discarded",
};

/** chowhound.v1.DeadLetterService over the letters of the store's database. */
export function createDeadLetterService(
  archive: DeadLetterArchive,
  replay: Replay,
  log: Logger,
): ExtraService {
  const onError = (method: string, error: unknown): void =>
    log.error({ err: error, method }, "dead letter call failed");
  const handlers = unaryHandlers(
    DeadLetterService,
    {
      summarizeDeadLetters: async ({ filter, state }) => {
        const groups = await archive.summarize(readFilter(filter), readState(state));
        return {
          groups: groups.map((group) => ({
            ...group,
            pipelineVersion: BigInt(group.pipelineVersion),
            count: BigInt(group.count),
            firstSeen: timestampFromDate(group.firstSeen),
            lastSeen: timestampFromDate(group.lastSeen),
          })),
        };
      },
      listDeadLetters: (request) => list(request, archive),
      getDeadLetter: async ({ id }) => {
        const letter = await archive.get(readId(id));
        if (letter !== undefined) return toWhole(letter);
        throw new CallError("dead_letter_not_found", `there is no dead letter ${id}`);
      },
      discardDeadLetters: async (request) => {
        const discarded = await discard(request, archive);
        log.info({ discarded, discardedBy: request.discardedBy }, "dead letters discarded");
        return { discarded: BigInt(discarded) };
      },
    },
    onError,
  );
  handlers.replayDeadLetters = serverStreamHandler(
    DeadLetterService.method.replayDeadLetters,
    async function* (request, call) {
      const filter = readSelection(request.selection);
      for await (const progress of replay(filter, request.limit || Number.POSITIVE_INFINITY, call)) {
        yield {
          matched: BigInt(progress.matched),
          published: BigInt(progress.published),
          skipped: BigInt(progress.skipped),
          remaining: BigInt(progress.remaining),
          skippedLetters: progress.skippedLetters.map(({ letter, reason }) => ({
            id: formatLetterId(letter),
            reason,
          })),
        };
      }
    },
    onError,
  );
  return { service: DeadLetterService, handlers };
}

async function list(
  { filter, state, pageSize, pageToken, ids }: ListDeadLettersRequest,
  archive: DeadLetterArchive,
): Promise<MessageInitShape<typeof ListDeadLettersResponseSchema>> {
  if (ids.length > 0) {
    if (filter !== undefined || state !== DeadLetterState.UNSPECIFIED || pageSize !== 0 || pageToken !== "")
      throw invalid("ids", "ids go with no filter, state or page; ask for the letters by one of the two");
    const named = { ids: readIds(ids, "ids") };
    const letters = await archive.list(named, undefined, { after: undefined, limit: ids.length });
    return { deadLetters: letters.map(toMessage) };
  }
  if (pageSize > MAX_PAGE)
    throw invalid("page_size", `a page of ${pageSize} letters; ask for ${MAX_PAGE} at most`);
  const limit = pageSize || DEFAULT_PAGE;
  const after = pageToken === "" ? undefined : readPlace(pageToken);
  const letters = await archive.list(readFilter(filter), readState(state), { after, limit });
  const last = letters.length === limit ? letters.at(-1) : undefined;
  return {
    deadLetters: letters.map(toMessage),
    nextPageToken: last === undefined ? "" : formatPlace(last),
  };
}

/** In transactions of a page each: one that fails leaves those before it done, and may be repeated. */
async function discard(
  { selection, note, discardedBy }: DiscardDeadLettersRequest,
  archive: DeadLetterArchive,
): Promise<number> {
  const filter = readSelection(selection);
  checkText(note, "note", MAX_NOTE_BYTES);
  checkText(discardedBy, "discarded_by", MAX_NAME_BYTES);
  // Not what comes while it runs.
  const { now } = await archive.countOpen(filter);
  const present = { ...filter, firstSeenBy: now };
  let discarded = 0;
  let after: LetterPlace | undefined;
  do {
    const page = await archive.discard(present, { after, limit: DISCARD_PAGE, note, discardedBy });
    discarded += page.discarded;
    after = page.last;
  } while (after !== undefined);
  return discarded;
}

function checkText(text: string, field: string, maxBytes: number): void {
  const bytes = Buffer.byteLength(text);
  if (text.trim() === "") throw invalid(field, `${field} is empty; say it, it is kept with the letters`);
  if (bytes > maxBytes)
    throw invalid(field, `${field} has ${bytes} bytes, more than ${maxBytes}; shorten it`);
  if (text.includes("\0")) throw invalid(field, `${field} holds the character U+0000; remove it`);
}

function readState(state: DeadLetterState): LetterState {
  const known = STATES[state];
  if (known !== undefined) return known;
  throw invalid("state", `there is no state ${state}`);
}

function toWhole(letter: WholeLetter): MessageInitShape<typeof GetDeadLetterResponseSchema> {
  return { deadLetter: toMessage(letter), original: readOriginal(letter) };
}

function readOriginal({
  reason,
  original,
}: WholeLetter): NonNullable<MessageInitShape<typeof GetDeadLetterResponseSchema>["original"]> {
  if (reason !== "undecodable_batch") {
    try {
      return { case: "record", value: fromBinary(IngestionDataSchema, original) };
    } catch {
      // Shown as what it is.
    }
  }
  return { case: "bytes", value: original };
}

function toMessage(letter: Letter): MessageInitShape<typeof DeadLetterSchema> {
  return {
    id: formatLetterId(letter),
    state: DeadLetterState[letter.state.toUpperCase() as "OPEN" | "RESOLVED" | "DISCARDED"],
    tenantId: letter.tenantId,
    sourceType: letter.sourceType,
    sourceId: letter.sourceId,
    dataId: letter.dataId,
    uuid: letter.uuid,
    stage: letter.stage,
    reason: letter.reason,
    detail: letter.detail,
    pipelineVersion: BigInt(letter.pipelineVersion),
    acceptedAt: timestampFromMs(Number(letter.acceptedAtUs) / 1000),
    receiptId: letter.receiptId ?? "",
    traceId: letter.traceId ?? "",
    firstSeen: timestampFromDate(letter.firstSeen),
    lastSeen: timestampFromDate(letter.lastSeen),
    attempts: letter.attempts,
    replayBatchId: letter.replayBatchId ?? "",
    ...(letter.settledAt !== null && { settledAt: timestampFromDate(letter.settledAt) }),
    verdict: letter.verdict ?? "",
    discardedBy: letter.discardedBy ?? "",
    note: letter.note ?? "",
    recordBytes: letter.recordBytes,
  };
}
