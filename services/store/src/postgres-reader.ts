import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type GetRecordRequest,
  GetRecordResponseSchema,
  type ListRecordsRequest,
  ListRecordsResponseSchema,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { encodeLanded, type LandedRow, landedColumns } from "./landed-row.ts";
import { PostgresFates } from "./postgres-fates.ts";
import { pageTokenAfter, readPageToken } from "./query-page-token.ts";
import { ReadPool, type Sql } from "./read-pool.ts";
import type { RecordReader } from "./record-reader.ts";

/** A page that has taken so long ends where it is. */
const PAGE_PATIENCE_MS = 1_000;
const DEFAULT_PAGE_SIZE = 100;
/** Rows that are in memory at a time, whatever the page's size: a row may have a megabyte. */
const FETCH_ROWS = 16;
/** What a page has beside its records: the token, and the length of each record. */
const TOKEN_BYTES = 8 * 1024;
const FRAME_BYTES = 8;

/** Reads records from PostgreSQL, in read-only transactions of bounded time and memory. */
export class PostgresReader implements RecordReader {
  readonly lanes: number;
  readonly fates: PostgresFates;
  readonly #pool: ReadPool;

  constructor(options: { url: string; connections: number; log: Logger }) {
    this.lanes = options.connections;
    this.#pool = new ReadPool(options);
    this.fates = new PostgresFates(this.#pool);
  }

  /** Of its pool. */
  get connections(): ReadPool["connections"] {
    return this.#pool.connections;
  }

  async getRecord(tenantId: string, request: GetRecordRequest, maxBytes: number): Promise<Uint8Array> {
    const sql = selectOne(tenantId, request);
    const [row] = await this.#pool.read((run) => run<LandedRow>(sql));
    if (row === undefined) {
      const message =
        "the tenant has no record under this key or uuid; check it, and whether it has landed yet";
      throw new CallError("record_not_found", message);
    }
    const record = encode(row, maxBytes - FRAME_BYTES);
    const { number } = GetRecordResponseSchema.field.record;
    return new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(record).finish();
  }

  async listRecords(tenantId: string, request: ListRecordsRequest, maxBytes: number): Promise<Uint8Array> {
    const pageSize = request.pageSize || DEFAULT_PAGE_SIZE;
    const cursor = declareCursor(tenantId, request, pageSize + 1);
    const fetch = { text: `fetch ${FETCH_ROWS} from page`, values: [] };
    const field = ListRecordsResponseSchema.field;
    const response = new BinaryWriter();
    let roomBytes = maxBytes - TOKEN_BYTES;
    let records = 0;
    let last: LandedRow | undefined;

    /** Takes the row onto the page; false where the page is full. */
    const take = (row: LandedRow): boolean => {
      if (records === pageSize) return false;
      const record = encode(row, maxBytes - TOKEN_BYTES - FRAME_BYTES);
      roomBytes -= record.length + FRAME_BYTES;
      if (roomBytes < 0) return false;
      response.tag(field.records.number, WireType.LengthDelimited).bytes(record);
      records++;
      last = row;
      return true;
    };
    const isLastPage = await this.#pool.read(async (run) => {
      await run(cursor);
      const startedMs = performance.now();
      for (;;) {
        const rows = await run<LandedRow>(fetch);
        if (!rows.every(take)) return false;
        if (rows.length < FETCH_ROWS) return true;
        if (performance.now() - startedMs > PAGE_PATIENCE_MS) return false;
      }
    });
    if (isLastPage || last === undefined) return response.finish();
    const { source_type: sourceType, source_id: sourceId, data_id: dataId } = last;
    const token = pageTokenAfter({ sourceType, sourceId, dataId }, tenantId, request);
    return response.tag(field.nextPageToken.number, WireType.LengthDelimited).string(token).finish();
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}

function selectOne(tenantId: string, { by, includeRawPayload }: GetRecordRequest): Sql {
  const select = `select ${landedColumns(includeRawPayload)} from records where tenant_id = $1`;
  if (by.case === "uuid") return { text: `${select} and uuid = $2`, values: [tenantId, by.value] };
  const key = by.value;
  return {
    text: `${select} and source_type = $2 and source_id = $3 and data_id = $4`,
    values: [tenantId, key?.sourceType, key?.sourceId, key?.dataId],
  };
}

/** Throws CallError "invalid_query" where the page token is none of this listing. */
function declareCursor(tenantId: string, request: ListRecordsRequest, limit: number): Sql {
  const values: unknown[] = [tenantId];
  const parameter = (value: unknown): string => `$${values.push(value)}`;
  const conditions = ["tenant_id = $1"];
  const { sourceType, sourceId, storedSince, storedBefore } = request;
  if (sourceType !== "") conditions.push(`source_type = ${parameter(sourceType)}`);
  if (sourceId !== "") conditions.push(`source_id = ${parameter(sourceId)}`);
  if (storedSince !== undefined) conditions.push(`stored_at >= ${parameter(toSql(storedSince))}`);
  if (storedBefore !== undefined) conditions.push(`stored_at < ${parameter(toSql(storedBefore))}`);
  const after = readPageToken(tenantId, request);
  if (after !== undefined) {
    const position = [after.sourceType, after.sourceId, after.dataId].map(parameter);
    conditions.push(`(source_type, source_id, data_id) > (${position.join(", ")})`);
  }
  const text = `declare page no scroll cursor for
    select ${landedColumns(request.includeRawPayload)} from records where ${conditions.join(" and ")}
    order by source_type, source_id, data_id limit ${limit}`;
  return { text, values };
}

/** A time in whole microseconds, rounded up: what is stored has no finer ones. */
function toSql({ seconds, nanos }: Timestamp): string {
  const us = seconds * 1_000_000n + BigInt(Math.ceil(nanos / 1000));
  const ofSecond = ((us % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const second = new Date(Number((us - ofSecond) / 1000n)).toISOString().slice(0, -5);
  return `${second}.${String(ofSecond).padStart(6, "0")}Z`;
}

function encode(row: LandedRow, maxBytes: number): Uint8Array {
  try {
    const record = encodeLanded(row);
    if (record.length <= maxBytes) return record;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  const key = JSON.stringify([row.source_type, row.source_id, row.data_id]);
  throw new CallError(
    "answer_too_large",
    `the record ${key} is larger than a message of this mesh; read it without include_raw_payload, or have max_payload of the NATS server raised`,
  );
}
