import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { IngestRequestSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";

/** Records of one call. */
export const CALL_RECORDS = 500;

/** Every so many-th record is a repeat, where repeats are asked for. */
export const REPEATED = 10;

export type RecordInit = MessageInitShape<typeof IngestionDataSchema>;

const LARGE_BYTES = 64 * 1024;
const SOURCES = 10;
/** So many that a batch compresses as English text does, about 3:1, and not as a list of a few words would. */
const WORD_COUNT = 8192;
const FIRST_SYLLABLES = "am ber car del em for gra har is jun ker lan mea nic or prai quar riv sad tim".split(
  " ",
);
const LAST_SYLLABLES = "age dow el er est ge ie in ite land let lor mond on per row tern ton ver y".split(
  " ",
);
const WORDS = Array.from({ length: WORD_COUNT }, (_, number) => wordOf(number));
/** In a text. */
const TEXT_WORDS = 27;
const FIRST_CREATED_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 24 * 3600_000;

/** Which records: their numbers name their keys. */
export interface RecordRange {
  first: number;
  count: number;
  /** 0 when new; a higher one says something else about the same keys, later. */
  revision: number;
}

/** The requests of a load, encoded: the same bytes for the same range, on every machine. */
export function encodeRequests(range: RecordRange, callRecords: number = CALL_RECORDS): Uint8Array[] {
  return encodeCalls(Array.from(recordsOf(range)), callRecords);
}

/**
 * The same, with every tenth record one of `known` once more: of what a producer sends that isn't sure how far it has come.
 *
 * @param known at least a tenth of the range
 */
export function encodeRequestsWithRepeats(range: RecordRange, known: RecordRange): Uint8Array[] {
  const repeats = recordsOf(known);
  const records = Array.from(recordsOf(range), (record, i) =>
    i % REPEATED === 0 ? repeats.next().value! : record,
  );
  return encodeCalls(records, CALL_RECORDS);
}

/** The same under other uuids, as of a producer that makes new ones for each attempt. */
export function encodeUnderOtherUuids(range: RecordRange): Uint8Array[] {
  const records = Array.from(recordsOf(range), (record, i) => {
    const number = range.first + i;
    return { ...record, uuid: uuidV7(FIRST_CREATED_MS + number, mulberry32(~number)) };
  });
  return encodeCalls(records, CALL_RECORDS);
}

/** In the order given. */
export function encodeCalls(records: readonly RecordInit[], callRecords: number): Uint8Array[] {
  const requests: Uint8Array[] = [];
  for (let at = 0; at < records.length; at += callRecords) {
    const request = create(IngestRequestSchema, { records: records.slice(at, at + callRecords) });
    requests.push(toBinary(IngestRequestSchema, request));
  }
  return requests;
}

/** The requests of a range, each encoded when it is asked for: for more than memory holds. */
export function* encodeOnDemand({ first, count, revision }: RecordRange): Generator<Uint8Array> {
  for (let sent = 0; sent < count; sent += CALL_RECORDS) {
    const range = { first: first + sent, count: Math.min(CALL_RECORDS, count - sent), revision };
    yield encodeRequests(range)[0]!;
  }
}

export function* recordsOf({ first, count, revision }: RecordRange): Generator<RecordInit, undefined> {
  for (let number = first; number < first + count; number++) yield benchRecord(number, revision);
}

/** About 500 bytes: a text, small metadata, labels, times. Its uuid is the producer's own and stays with the key. */
export function benchRecord(number: number, revision: number): RecordInit {
  const random = mulberry32(number);
  const createdMs = FIRST_CREATED_MS + number;
  const uuid = uuidV7(createdMs, random);
  const word = (): string => WORDS[random() % WORD_COUNT]!;
  const text = Array.from({ length: TEXT_WORDS }, word).join(" ");
  return {
    uuid,
    sourceType: "bench-document",
    sourceId: `shelf-${number % SOURCES}`,
    dataId: `document-${String(number).padStart(9, "0")}`,
    data: `Revision ${revision}. ${text}`,
    metadata: { title: `${word()} ${word()}`, pages: random() % 1000, reviewed: number % 2 === 0 },
    metadataType: "bench-document/1",
    lang: "en",
    attributes: { shelf: word(), owner: `team-${random() % 50}` },
    createdAt: timestampFromMs(createdMs),
    updatedAt: timestampFromMs(createdMs + revision * DAY_MS),
  };
}

/** The same with a text of about 64 KB. */
export function largeRecord(number: number): RecordInit {
  const record = benchRecord(number, 0);
  return { ...record, data: record.data!.padEnd(LARGE_BYTES, ` ${record.data}`) };
}

/** Two or three syllables, for each number others. */
function wordOf(number: number): string {
  const first = FIRST_SYLLABLES[number % FIRST_SYLLABLES.length]!;
  const rest = Math.floor(number / FIRST_SYLLABLES.length);
  const last = LAST_SYLLABLES[rest % LAST_SYLLABLES.length]!;
  const middle = Math.floor(rest / LAST_SYLLABLES.length);
  return first + (middle === 0 ? "" : FIRST_SYLLABLES[middle - 1]!) + last;
}

function uuidV7(timeMs: number, random: () => number): string {
  const time = timeMs.toString(16).padStart(12, "0");
  const noise = [random(), random(), random()].map((n) => n.toString(16).padStart(8, "0")).join("");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${noise.slice(0, 3)}-8${noise.slice(3, 6)}-${noise.slice(6, 18)}`;
}

/** A small generator of 32-bit numbers that is the same everywhere. https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
