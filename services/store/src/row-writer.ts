import { finished } from "node:stream/promises";
import type { Client } from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { CopyWriter } from "./copy-binary.ts";
import { type DeadRecord, type IncomingRecord, toDead } from "./incoming-record.ts";
import { compareOrder } from "./record-order.ts";
import { type Candidate, settleRecords } from "./settle-records.ts";
import { isDataError, isUuidTaken, sanitisedDetail } from "./sql-errors.ts";
import type { Verdict } from "./verdict.ts";

/** What became of the rows of one group. */
export interface AppliedRows {
  verdicts: Map<IncomingRecord, Verdict>;
  /** Records that moved their row onto a key that had one. */
  deletions: Set<IncomingRecord>;
  dead: DeadRecord[];
}

const COLUMNS = [
  "tenant_id",
  "source_type",
  "source_id",
  "data_id",
  "uuid",
  "version_us",
  "content_hash",
  "pipeline_version",
  "data",
  "metadata",
  "metadata_type",
  "lang",
  "attributes",
  "raw_payload",
  "raw_content_type",
  "created_at",
  "updated_at",
  "accepted_at",
  "batch_id",
  "receipt_id",
  "trace_id",
] as const;
const LIST = COLUMNS.join(", ");
const KEY = "tenant_id, source_type, source_id, data_id";
const ORDER = (row: string): string => `(${row}.version_us, ${row}.content_hash, ${row}.pipeline_version)`;

/** Made once per connection. */
export const PREPARE_CONNECTION = `
  create temporary table if not exists incoming on commit delete rows as
    select 0 as n, ${LIST} from records with no data;
  -- The temporary table has no statistics: keep the planner from joining it to all of records.
  set enable_hashjoin = off;
  set enable_mergejoin = off;
  -- A plan made while records was small must not outlive that.
  set plan_cache_mode = force_custom_plan`;

const COPY = `copy incoming (n, ${LIST}) from stdin (format binary)`;

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
    select from unnest($1::text[], $2::uuid[], $3::text[]) as i (tenant_id, uuid, data_id)
    join records r on r.tenant_id = i.tenant_id and r.uuid = i.uuid
    where r.data_id <> i.data_id limit 1`,
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
 * The way is optimistic: one COPY, one upsert. Where a uuid turns out to be stored under another key, even that of a record
 * that is no row, the group is decided record by record against locked rows. Where a value is refused, the group is halved until the bad record
 * stands alone.
 */
export class RowWriter {
  readonly #client: Client;
  readonly #copy = new CopyWriter();

  constructor(client: Client) {
    this.#client = client;
  }

  async apply(records: readonly IncomingRecord[]): Promise<AppliedRows> {
    const applied: AppliedRows = { verdicts: new Map(), deletions: new Set(), dead: [] };
    if (records.length > 0) await this.#applyOrHalve(records, applied, true);
    return applied;
  }

  async #applyOrHalve(
    records: readonly IncomingRecord[],
    applied: AppliedRows,
    isWhole: boolean,
  ): Promise<void> {
    await this.#client.query(
      isWhole ? "savepoint before_rows" : "delete from incoming; savepoint before_rows",
    );
    try {
      await this.#applyTogether(records, applied);
    } catch (error) {
      if (!isDataError(error)) throw error;
      await this.#client.query("rollback to savepoint before_rows");
      for (const record of records) {
        applied.verdicts.delete(record);
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

  async #applyTogether(records: readonly IncomingRecord[], applied: AppliedRows): Promise<void> {
    const { greatest, uuidsAreDistinct } = collapse(records, applied.verdicts);
    await this.#copyIn(uuidsAreDistinct ? greatest : records);
    if (uuidsAreDistinct) {
      await this.#client.query("savepoint before_upsert");
      try {
        const rows = await this.#upsert(greatest, applied.verdicts);
        if (!(await this.#areElsewhere(records.filter((record) => !rows.has(record))))) return;
      } catch (error) {
        if (!isUuidTaken(error)) throw error;
      }
      await this.#client.query("rollback to savepoint before_upsert");
      if (greatest.length < records.length) {
        await this.#client.query("delete from incoming");
        await this.#copyIn(records);
      }
    }
    await this.#settle(records, applied);
  }

  async #copyIn(records: readonly IncomingRecord[]): Promise<void> {
    for (let n = 0; n < records.length; n++) writeRow(this.#copy, n, records[n]!);
    const stream = this.#client.query(copyFrom(COPY));
    stream.end(this.#copy.finish());
    await finished(stream);
  }

  /** Returns the records that are rows now. */
  async #upsert(
    records: readonly IncomingRecord[],
    verdicts: Map<IncomingRecord, Verdict>,
  ): Promise<Set<IncomingRecord>> {
    const applied = new Set<IncomingRecord>();
    const { rows } = await this.#client.query<[string, string, boolean, boolean | null]>(UPSERT as never);
    const verdictOf = new Map<string, Verdict>();
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
      verdicts.set(records[n]!, verdict);
      applied.add(records[n]!);
    }
    if (notApplied.length === 0) return applied;
    for (const n of notApplied) verdicts.set(records[n]!, "stale");
    const equal = await this.#client.query<[number]>({ ...FIND_EQUAL, values: [notApplied] } as never);
    for (const [n] of equal.rows) verdicts.set(records[n]!, "unchanged");
    return applied;
  }

  /** A record that comes too late for its key may yet have to leave another: the one that an older pipeline gave it. */
  async #areElsewhere(records: readonly IncomingRecord[]): Promise<boolean> {
    if (records.length === 0) return false;
    const columns = [
      records.map(({ tenantId }) => tenantId),
      records.map(({ uuid }) => uuid),
      records.map(({ dataId }) => dataId.toString()),
    ];
    const { rowCount } = await this.#client.query({ ...FIND_ELSEWHERE, values: columns });
    return rowCount !== 0;
  }

  async #settle(records: readonly IncomingRecord[], applied: AppliedRows): Promise<void> {
    const { rows } = await this.#client.query<RelatedRow>(LOCK_RELATED);
    const related = rows.map(toCandidate);
    const { verdicts, winners, removals, deletions } = settleRecords(related, records);
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
      applied.verdicts.set(records[n]!, verdicts[n]!);
      if (deletions[n]) applied.deletions.add(records[n]!);
    }
  }
}

/**
 * Of each key the greatest record; the others get their verdict at once, as if they had come after it: `unchanged`
 * where they are equal to it, else `stale`.
 */
function collapse(
  records: readonly IncomingRecord[],
  verdicts: Map<IncomingRecord, Verdict>,
): { greatest: IncomingRecord[]; uuidsAreDistinct: boolean } {
  const byKey = new Map<string, IncomingRecord>();
  for (const record of records) {
    const other = byKey.get(record.key);
    if (other === undefined || compareOrder(record, other) > 0) byKey.set(record.key, record);
  }
  if (byKey.size < records.length) {
    for (const record of records) {
      const winner = byKey.get(record.key)!;
      if (winner !== record) verdicts.set(record, compareOrder(record, winner) === 0 ? "unchanged" : "stale");
    }
  }
  const keyOfUuid = new Map<string, string>();
  let uuidsAreDistinct = true;
  for (const record of records) {
    const uuid = ownUuid(record.tenantId, record.uuid);
    const key = keyOfUuid.get(uuid);
    if (key === undefined) keyOfUuid.set(uuid, record.key);
    else if (key !== record.key) uuidsAreDistinct = false;
  }
  return { greatest: [...byKey.values()], uuidsAreDistinct };
}

/** A uuid identifies a record within its tenant. */
function ownUuid(tenantId: string, uuid: string): string {
  return `${uuid}/${tenantId}`;
}

function writeRow(copy: CopyWriter, n: number, record: IncomingRecord): void {
  copy.row(COLUMNS.length + 1);
  copy.integer(n);
  copy.text(record.tenantId);
  copy.bytes(record.sourceType);
  copy.bytes(record.sourceId);
  copy.bytes(record.dataId);
  copy.bytes(record.uuidBytes);
  copy.bigint(record.versionUs);
  copy.bytes(record.contentHash);
  copy.bigint(record.pipelineVersion);
  copy.bytes(record.data);
  copy.jsonb(record.metadataJson);
  copy.bytes(record.metadataType);
  copy.bytes(record.lang);
  copy.jsonb(record.attributesJson);
  if (record.rawPayload === undefined) {
    copy.null();
    copy.null();
  } else {
    copy.bytes(record.rawPayload.content);
    copy.bytes(record.rawPayload.contentType);
  }
  if (record.createdAtUs === undefined) copy.null();
  else copy.timestamp(record.createdAtUs);
  if (record.updatedAtUs === undefined) copy.null();
  else copy.timestamp(record.updatedAtUs);
  copy.timestamp(Number(record.batch.acceptedAtUs));
  copy.bytes(record.batch.batchId);
  copy.bytes(record.call.receiptId);
  const traceId = record.call.traceparent.slice(3, 35);
  if (traceId === "") copy.null();
  else copy.text(traceId);
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
