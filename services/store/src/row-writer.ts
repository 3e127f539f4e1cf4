import { finished } from "node:stream/promises";
import type { Client } from "pg";
import { type CopyStreamQuery, from as copyFrom } from "pg-copy-streams";
import { CopyData } from "./copy-binary.ts";
import { type DeadRecord, type IncomingRecord, toDead } from "./incoming-record.ts";
import { InsertGuess } from "./insert-guess.ts";
import { compareOrder } from "./record-order.ts";
import { COLUMNS } from "./row-fields.ts";
import { type Candidate, settleRecords } from "./settle-records.ts";
import { isConcurrentKey, isDataError, isUuidTaken, sanitisedDetail } from "./sql-errors.ts";
import type { Verdict } from "./verdict.ts";

/** What became of the rows of one group, beside the verdicts, which stand on the records. */
export interface AppliedRows {
  /** Records that moved their row onto a key that had one. */
  deletions: Set<IncomingRecord>;
  /** Rows have left their keys: what was reported committed by now says less than before. */
  hasMoved: boolean;
  dead: DeadRecord[];
}

const LIST = COLUMNS.join(", ");
const KEY = "tenant_id, source_type, source_id, data_id";
const ORDER = (row: string): string => `(${row}.version_us, ${row}.content_hash, ${row}.pipeline_version)`;

const SAVE = "savepoint before_rows";
const BACK = "rollback to savepoint before_rows";
const SAVE_COPIED = "savepoint before_upsert";
const BACK_FROM_COPIED = "rollback to savepoint before_upsert; delete from incoming";

/** Made once per connection. */
export const PREPARE_CONNECTION = `
  create temporary table if not exists incoming on commit delete rows as
    select 0 as n, ${LIST} from records with no data;
  -- Plans are kept, and the temporary table has no statistics: rows are to be found by an index, however few there are when a plan is made.
  set enable_seqscan = off;
  set enable_hashjoin = off;
  set enable_mergejoin = off`;

const COPY_INCOMING = `copy incoming (n, ${LIST}) from stdin (format binary)`;
const COPY_NEW = `copy records (${LIST}) from stdin (format binary)`;

/** PostgreSQL tells how far a COPY has come after each piece: frozen-holders.ts sees that it gets on. */
const COPY_PIECE_BYTES = 256 * 1024;

const UPSERT = {
  name: "upsert",
  text: `
    insert into records as r (${LIST})
    select ${LIST} from incoming order by ${KEY}
    on conflict (${KEY}) do update
      set (${LIST}, stored_at) = row(${COLUMNS.map((column) => `excluded.${column}`).join(", ")}, now())
      where ${ORDER("r")} < ${ORDER("excluded")}
    returning new.tenant_id, new.uuid, old.uuid is null as inserted,
      old.content_hash = new.content_hash and old.pipeline_version = new.pipeline_version as same`,
  rowMode: "array",
};

/** Of the records that were not applied, those that are exactly the row. */
const FIND_EQUAL = {
  name: "find-equal",
  text: `
    select i.n from incoming i join records r using (${KEY})
    where i.n = any($1::int[]) and ${ORDER("r")} = ${ORDER("i")}`,
  rowMode: "array",
};

/** Whether one of these records is, by its uuid, a row under another key. */
const FIND_ELSEWHERE = {
  name: "find-elsewhere",
  text: `
    select from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[])
      as i (tenant_id, uuid, source_type, source_id, data_id)
    join records r on r.tenant_id = i.tenant_id and r.uuid = i.uuid
    where (r.source_type, r.source_id, r.data_id) <> (i.source_type, i.source_id, i.data_id) limit 1`,
};

/** The rows that share a key or a uuid with what is incoming, locked in the order of their keys. */
const LOCK_RELATED = `
  with related as (
    select ${KEY} from incoming join records using (${KEY})
    union
    select r.tenant_id, r.source_type, r.source_id, r.data_id
    from incoming i join records r on r.tenant_id = i.tenant_id and r.uuid = i.uuid)
  select ${KEY}, encode(uuid_send(r.uuid), 'hex') as uuid, r.version_us, r.content_hash, r.pipeline_version
  from related join records r using (${KEY})
  order by ${KEY} for update of r`;

const REMOVE = `
  delete from records where (${KEY}) in (select * from unnest($1::text[], $2::text[], $3::text[], $4::text[]))`;

const INSERT_WINNERS = `
  insert into records (${LIST}) select ${LIST} from incoming where n = any($1::int[]) order by ${KEY}`;

/**
 * Applies records to the table within a transaction that the caller has begun, newest wins, and isolates those that
 * the database refuses for their values.
 *
 * The way is optimistic, in three steps, each for what the one before can't do. Records whose keys are expected to be new are
 * copied right into the table. Else one COPY and one upsert do. Where a uuid turns out to be stored under another key, even that
 * of a record that is no row, the group is decided record by record against locked rows. Where a value is refused, the
 * group is halved until the bad record stands alone.
 */
export class RowWriter {
  readonly #client: Client;
  readonly #copyData = new CopyData();
  readonly #guess = new InsertGuess();
  #fields: Buffer = Buffer.alloc(0);

  constructor(client: Client) {
    this.#client = client;
  }

  /** @param fields where the records' rows are */
  async apply(records: readonly IncomingRecord[], fields: Buffer): Promise<AppliedRows> {
    this.#fields = fields;
    const applied: AppliedRows = { deletions: new Set(), hasMoved: false, dead: [] };
    if (records.length > 0) await this.#applyOrHalve(records, applied, true);
    return applied;
  }

  async #applyOrHalve(
    records: readonly IncomingRecord[],
    applied: AppliedRows,
    isWhole: boolean,
  ): Promise<void> {
    try {
      await this.#applyTogether(records, applied, isWhole ? SAVE : `delete from incoming; ${SAVE}`);
    } catch (error) {
      if (!isDataError(error)) throw error;
      await this.#client.query(BACK);
      for (const record of records) {
        record.verdict = undefined;
        applied.deletions.delete(record);
      }
      if (records.length === 1) {
        applied.dead.push(toDead(records[0]!, "value_refused_by_database", sanitisedDetail(error)));
        return;
      }
      const middle = records.length >>> 1;
      await this.#applyOrHalve(records.slice(0, middle), applied, false);
      await this.#applyOrHalve(records.slice(middle), applied, false);
    }
  }

  /** @param save sent with the first statement: each round trip costs as much as a dozen records */
  async #applyTogether(
    records: readonly IncomingRecord[],
    applied: AppliedRows,
    save: string,
  ): Promise<void> {
    const { greatest, others } = collapse(records);
    let before = [save];
    if (haveUuidsOfTheirOwn(greatest, others)) {
      if (others.length === 0 && this.#guess.isNew) {
        if (await this.#insertNew(greatest, before)) {
          for (const record of greatest) record.verdict = "stored";
          return;
        }
        before = [];
      }
      await this.#copy(COPY_INCOMING, greatest, { before, after: [SAVE_COPIED] });
      before = [];
      try {
        const rows = await this.#upsert(greatest);
        settleOthers(others);
        if (!(await this.#areElsewhere(records.filter((record) => !rows.has(record))))) return;
      } catch (error) {
        if (!isUuidTaken(error)) throw error;
      }
      await this.#client.query(BACK_FROM_COPIED);
    }
    await this.#copy(COPY_INCOMING, records, { before });
    await this.#settle(records, applied);
  }

  /** @param before and after: other statements, in the same round trip */
  async #copy(
    statement: typeof COPY_INCOMING | typeof COPY_NEW,
    records: readonly IncomingRecord[],
    { before, after = [] }: { before: readonly string[]; after?: readonly string[] },
  ): Promise<void> {
    const isNumbered = statement === COPY_INCOMING;
    const stream = this.#client.query(copyFrom([...before, statement, ...after].join("; ")));
    stream.once("error", () => sendNoMore(stream));
    const data = this.#copyData.of(this.#fields, records, COLUMNS.length, { isNumbered });
    for (let at = 0; at < data.length; at += COPY_PIECE_BYTES)
      stream.write(data.subarray(at, at + COPY_PIECE_BYTES));
    stream.end();
    await finished(stream);
  }

  /** Returns false, and has inserted nothing, where a key or a uuid is there already. @param records in the order of their keys */
  async #insertNew(records: readonly IncomingRecord[], before: readonly string[]): Promise<boolean> {
    try {
      await this.#copy(COPY_NEW, records, { before });
      this.#guess.wasRight();
      return true;
    } catch (error) {
      if (!isConcurrentKey(error) && !isUuidTaken(error)) throw error;
      this.#guess.wasWrong();
      await this.#client.query(BACK);
      return false;
    }
  }

  /** Returns the records that are rows now. */
  async #upsert(records: readonly IncomingRecord[]): Promise<Set<IncomingRecord>> {
    const applied = new Set<IncomingRecord>();
    const { rows } = await this.#client.query<[string, string, boolean, boolean | null]>(UPSERT as never);
    const verdictOf = new Map<string, Verdict>();
    this.#guess.sawGroup(rows.length === records.length && rows.every(([, , inserted]) => inserted));
    for (const [tenantId, uuid, inserted, same] of rows)
      verdictOf.set(
        ownUuid(tenantId, uuid.replaceAll("-", "")),
        inserted ? "stored" : same ? "unchanged" : "updated",
      );
    const notApplied: number[] = [];
    for (let n = 0; n < records.length; n++) {
      const verdict = verdictOf.get(ownUuid(records[n]!.tenantId, records[n]!.uuid));
      if (verdict === undefined) {
        notApplied.push(n);
        continue;
      }
      records[n]!.verdict = verdict;
      applied.add(records[n]!);
    }
    if (notApplied.length === 0) return applied;
    for (const n of notApplied) records[n]!.verdict = "stale";
    const equal = await this.#client.query<[number]>({ ...FIND_EQUAL, values: [notApplied] } as never);
    for (const [n] of equal.rows) records[n]!.verdict = "unchanged";
    return applied;
  }

  /** A record that comes too late for its key may yet have to leave another: the one that an older pipeline gave it. */
  async #areElsewhere(records: readonly IncomingRecord[]): Promise<boolean> {
    if (records.length === 0) return false;
    const columns = [
      records.map(({ tenantId }) => tenantId),
      records.map(({ uuid }) => uuid),
      records.map(({ source }) => source.sourceType),
      records.map(({ source }) => source.sourceId),
      records.map(({ dataId }) => dataId),
    ];
    const { rowCount } = await this.#client.query({ ...FIND_ELSEWHERE, values: columns });
    return rowCount !== 0;
  }

  async #settle(records: readonly IncomingRecord[], applied: AppliedRows): Promise<void> {
    const { rows } = await this.#client.query<RelatedRow>(LOCK_RELATED);
    const related = rows.map(toCandidate);
    const { verdicts, winners, removals, deletions, hasMoved } = settleRecords(related, records);
    applied.hasMoved ||= hasMoved;
    if (removals.length > 0) {
      const keys = removals.map((key) =>
        key.split("\0").map((part) => Buffer.from(part, "latin1").toString()),
      );
      await this.#client.query(
        REMOVE,
        [0, 1, 2, 3].map((part) => keys.map((key) => key[part])),
      );
    }
    const numberOf = new Map(records.map((record, n) => [record, n]));
    if (winners.length > 0) {
      await this.#client.query(INSERT_WINNERS, [winners.map((winner) => numberOf.get(winner))]);
    }
    for (let n = 0; n < records.length; n++) {
      records[n]!.verdict = verdicts[n]!;
      if (deletions[n]) applied.deletions.add(records[n]!);
    }
  }
}

/**
 * For a COPY that has been refused before all of it was sent: the library would send the rest on a connection that it has let go of, and
 * fail where nobody can catch it (node-pg-copy-streams, issue 171). What it still has to send isn't in its types.
 */
function sendNoMore(stream: CopyStreamQuery): void {
  (stream as unknown as { chunks: unknown[] }).chunks = [];
}

/** Of each key the greatest record, in the order of the keys, and the others, each with the one that is greater or equal. */
function collapse(records: readonly IncomingRecord[]): {
  greatest: IncomingRecord[];
  others: [other: IncomingRecord, greatest: IncomingRecord][];
} {
  const sorted = records.toSorted(byKey);
  const greatest: IncomingRecord[] = [];
  const others: [IncomingRecord, IncomingRecord][] = [];
  for (let start = 0; start < sorted.length; ) {
    let winner = sorted[start]!;
    let end = start + 1;
    for (; end < sorted.length && sorted[end]!.key === winner.key; end++)
      if (compareOrder(sorted[end]!, winner) > 0) winner = sorted[end]!;
    greatest.push(winner);
    for (let i = start; end - start > 1 && i < end; i++)
      if (sorted[i] !== winner) others.push([sorted[i]!, winner]);
    start = end;
  }
  return { greatest, others };
}

/** As the database orders keys: bytewise, column by column. */
function byKey(a: IncomingRecord, b: IncomingRecord): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

/** Whether no uuid of a tenant stands for two keys. */
function haveUuidsOfTheirOwn(
  greatest: readonly IncomingRecord[],
  others: readonly (readonly [IncomingRecord, IncomingRecord])[],
): boolean {
  const byTenant = new Map<string, Map<string, string>>();
  const isOwn = ({ tenantId, uuid, key }: IncomingRecord): boolean => {
    let keyOf = byTenant.get(tenantId);
    if (keyOf === undefined) {
      keyOf = new Map();
      byTenant.set(tenantId, keyOf);
    }
    const known = keyOf.get(uuid);
    if (known === undefined) keyOf.set(uuid, key);
    return known === undefined || known === key;
  };
  return greatest.every(isOwn) && others.every(([record]) => isOwn(record));
}

/** They get their verdict as if they had come after the greatest: `unchanged` where they are equal to it, else `stale`. */
function settleOthers(others: readonly (readonly [IncomingRecord, IncomingRecord])[]): void {
  for (const [record, winner] of others)
    record.verdict = compareOrder(record, winner) === 0 ? "unchanged" : "stale";
}

/** A uuid identifies a record within its tenant. */
function ownUuid(tenantId: string, uuid: string): string {
  return `${uuid}/${tenantId}`;
}

interface RelatedRow {
  tenant_id: string;
  source_type: string;
  source_id: string;
  data_id: string;
  uuid: string;
  version_us: string;
  content_hash: Buffer;
  pipeline_version: string;
}

function toCandidate(row: RelatedRow): Candidate {
  const latin1 = (text: string): string => Buffer.from(text).toString("latin1");
  return {
    tenantId: row.tenant_id,
    key: `${row.tenant_id}\0${latin1(row.source_type)}\0${latin1(row.source_id)}\0${latin1(row.data_id)}`,
    uuid: row.uuid,
    versionUs: BigInt(row.version_us),
    contentHash: row.content_hash,
    pipelineVersion: BigInt(row.pipeline_version),
  };
}
