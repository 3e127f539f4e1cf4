import { fromBinary } from "@bufbuild/protobuf";
import { auditBooks } from "@chowhound/local/audit";
import type { BookKeeper, Books } from "@chowhound/local/books";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import type { FaultMesh } from "./fault-mesh.ts";
import { judgeReceipts } from "./judge-receipts.ts";
import { keyOf, PAD_MARK, versionTimeMs } from "./known-records.ts";
import { type Ledger, rowId } from "./ledger.ts";
import { waitUntil } from "./patience.ts";

export interface Judgement {
  /** Empty: nothing accepted is lost, nothing is there twice, the newest is in each row, the books close. */
  problems: string[];
  books: Books;
}

/** Shown of each kind of problem. */
const MAX_SHOWN = 5;

/**
 * Waits until the mesh is at rest, then compares what is there with what the producers know.
 *
 * @param detours reasons for which a good record may have died, if a replay has landed it since
 */
export async function judge(
  mesh: FaultMesh,
  { detours = [] }: { detours?: readonly string[] } = {},
): Promise<Judgement> {
  await untilDrained(mesh);
  return mesh.withBooks(async (keeper) => {
    const books = await keeper.read();
    const booked = books.accepted - books.replayed;
    const problems = [
      ...(await auditBooks(mesh.endpoints.admin.store!, booked)),
      ...judgeSums(books, mesh.ledger),
      ...shorten(await judgeRows(keeper, mesh.ledger)),
      ...shorten(await judgeLetters(keeper, mesh.ledger, detours)),
      ...shorten(await judgeReceipts(mesh)),
      ...shorten(mesh.ledger.problems),
    ];
    return { problems, books };
  });
}

/** Waits until no stream holds a batch: all that was accepted is booked. */
export async function untilDrained(mesh: FaultMesh): Promise<void> {
  const held = async (): Promise<number[]> =>
    Object.values(await mesh.streams()).map(({ messages }) => messages);
  await waitUntil("the streams are empty", {
    isDone: async () => (await held()).every((messages) => messages === 0),
    progress: async () => String(await held()),
    pollMs: 100,
  });
}

/**
 * Records without a receipt may have been accepted; all others have been, or not, as their receipts say. What dies or
 * conflicts does so each time it is sent, and nothing else does.
 */
function judgeSums(books: Books, { counts, accepted, unanswered }: Ledger): string[] {
  const expectations = [
    ["records accepted at the door", books.accepted - books.replayed, { accepted, unanswered }],
    ["records dead for good", books.dead_lettered - books.reclaimed, counts.dies],
    ["conflicts", books.conflict, counts.conflicts],
  ] as const;
  return expectations
    .filter(([, booked, sent]) => booked < sent.accepted || booked > sent.accepted + sent.unanswered)
    .map(
      ([what, booked, sent]) =>
        `${what}: ${booked}, expected ${sent.accepted} and ${sent.unanswered} more at most`,
    );
}

interface Row {
  tenant_id: string;
  uuid: string;
  source_type: string;
  source_id: string;
  data_id: string;
  /** Without what makes it large. */
  data: string;
  pad_bytes: number;
  metadata: { version?: number; padBytes?: number };
  attributes: { version?: string };
  seconds: number;
}

async function judgeRows(keeper: BookKeeper, ledger: Ledger): Promise<string[]> {
  const rows = await keeper.query<Row>(
    `select tenant_id, uuid, source_type, source_id, data_id, split_part(data, '${PAD_MARK}', 1) as data, metadata, attributes,
       length(data) - length(split_part(data, '${PAD_MARK}', 1)) as pad_bytes, extract(epoch from updated_at)::int as seconds from records`,
  );
  const problems: string[] = [];
  const found = new Set<string>();
  const uuids = new Set<string>();
  for (const row of rows) {
    const { tenant_id, uuid, source_type, source_id, data_id, data } = row;
    const id = rowId(tenant_id, keyOf({ sourceType: source_type, sourceId: source_id, dataId: data_id }));
    const expected = ledger.rows.get(id);
    const version = Number(/ version (\d+)/.exec(data)?.[1]);
    if (found.has(id)) problems.push(`${id}: two rows`);
    found.add(id);
    if (uuids.has(rowId(tenant_id, uuid))) problems.push(`${id}: its uuid ${uuid} has another row`);
    uuids.add(rowId(tenant_id, uuid));
    if (expected === undefined) problems.push(`${id}: a row of what was never to land`);
    else if (!(version >= expected.certain))
      problems.push(`${id}: version ${version} although ${expected.certain} was accepted`);
    else if (version > expected.possible) problems.push(`${id}: version ${version}, which was never sent`);
    if (!isOfOneVersion(row, version)) problems.push(`${id}: content of two versions`);
  }
  for (const [id, { certain }] of ledger.rows)
    if (certain > 0 && !found.has(id)) problems.push(`${id}: lost`);
  return problems;
}

function isOfOneVersion({ metadata, attributes, seconds, pad_bytes }: Row, version: number): boolean {
  return (
    metadata.version === version &&
    attributes.version === String(version) &&
    seconds === versionTimeMs(version) / 1000 &&
    pad_bytes === (metadata.padBytes ?? 0)
  );
}

async function judgeLetters(
  keeper: BookKeeper,
  ledger: Ledger,
  detours: readonly string[],
): Promise<string[]> {
  const letters = await keeper.query<{ tenant_id: string; original: Buffer; reason: string; state: string }>(
    "select tenant_id, original, reason, state from dead_letters",
  );
  const problems: string[] = [];
  const kept = new Set<string>();
  for (const { tenant_id, original, reason, state } of letters) {
    const id = rowId(tenant_id, fromBinary(IngestionDataSchema, original).data);
    kept.add(id);
    const isDetour = detours.includes(reason) && state === "resolved";
    if (!ledger.letters.has(id) && !isDetour)
      problems.push(`${id}: a dead letter though it was good, ${state}, ${reason}`);
  }
  for (const [id, isOwed] of ledger.letters)
    if (isOwed && !kept.has(id)) problems.push(`${id}: no dead letter`);
  return problems;
}

function shorten(problems: readonly string[]): string[] {
  const rest = problems.length - MAX_SHOWN;
  return rest > 0 ? [...problems.slice(0, MAX_SHOWN), `… and ${rest} more like it`] : [...problems];
}
