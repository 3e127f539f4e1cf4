import { Client } from "pg";
import type {
  DeadLetterArchive,
  Letter,
  LetterGroup,
  LetterPlace,
  LetterState,
  PageLimits,
  WholeLetter,
} from "./dead-letter-archive.ts";
import { formatLetterId, type LetterId } from "./letter-id.ts";
import { columnsOf, lockLetters, timeOf } from "./letter-rows.ts";
import type { LetterFilter } from "./letter-selection.ts";
import { connectionOptions, endClient } from "./postgres-connection.ts";
import { bookTotals, SourceTotals } from "./source-totals.ts";
import { explainForOperator } from "./sql-errors.ts";

const MAX_GROUPS = 1_000;
/** Discards are booked on a lane of their own: they don't wait for writers, nor these for them. */
const DISCARD_LANE = -1;

const LETTER = `batch_id as "batchId", ordinal, state, tenant_id as "tenantId", source_type as "sourceType",
  source_id as "sourceId", data_id as "dataId", uuid, stage, reason, detail, pipeline_version as "pipelineVersion",
  (extract(epoch from accepted_at) * 1000000)::bigint as "acceptedAtUs", receipt_id as "receiptId",
  trace_id as "traceId", traceparent, first_seen as "firstSeen", last_seen as "lastSeen", attempts,
  replay_batch_id as "replayBatchId", settled_at as "settledAt", verdict, discarded_by as "discardedBy", note,
  octet_length(original) as "recordBytes"`;
const ORDER = "accepted_at, batch_id, ordinal";

/**
 * The dead letters in PostgreSQL. Questions are rare and may take long, so each has a connection of its own. All reject
 * with CallError not_ready where PostgreSQL is away.
 */
export class PostgresLetters implements DeadLetterArchive {
  readonly #url: string;
  readonly #statementTimeoutMs: number;

  constructor({ url, statementTimeoutMs }: { url: string; statementTimeoutMs: number }) {
    this.#url = url;
    this.#statementTimeoutMs = statementTimeoutMs;
  }

  summarize(filter: LetterFilter, state: LetterState): Promise<LetterGroup[]> {
    const { where, values } = conditions(filter, state);
    const groups = `tenant_id, source_type, stage, reason, pipeline_version`;
    return this.#use(async (client) => {
      const { rows } = await client.query<LetterGroup>(
        `select tenant_id as "tenantId", source_type as "sourceType", stage, reason,
           pipeline_version as "pipelineVersion", count(*), min(first_seen) as "firstSeen", max(last_seen) as "lastSeen"
         from dead_letters where ${where} group by ${groups} order by count(*) desc, ${groups} limit ${MAX_GROUPS}`,
        values,
      );
      return rows;
    });
  }

  list(
    filter: LetterFilter,
    state: LetterState | undefined,
    { after, limit }: { after: LetterPlace | undefined; limit: number },
  ): Promise<Letter[]> {
    const { where, values } = conditions(filter, state, after);
    return this.#use(async (client) => {
      const { rows } = await client.query<Letter>(
        `select ${LETTER} from dead_letters where ${where} order by ${ORDER} limit ${limit}`,
        values,
      );
      return rows;
    });
  }

  get({ batchId, ordinal }: LetterId): Promise<WholeLetter | undefined> {
    return this.#use(async (client) => {
      const { rows } = await client.query<WholeLetter>(
        `select ${LETTER}, original from dead_letters where batch_id = $1 and ordinal = $2`,
        [batchId, ordinal],
      );
      return rows[0];
    });
  }

  countOpen(filter: LetterFilter): Promise<{ count: number; now: string }> {
    const { where, values } = conditions(filter, "open");
    return this.#use(async (client) => {
      const { rows } = await client.query<{ count: string; now: string }>(
        `select count(*), clock_timestamp()::text as now from dead_letters where ${where}`,
        values,
      );
      return { count: Number(rows[0]!.count), now: rows[0]!.now };
    });
  }

  countOpenByTenant(limit: number): Promise<{ tenantId: string; count: number }[]> {
    return this.#use(async (client) => {
      const { rows } = await client.query<{ tenantId: string; count: number }>(
        `select tenant_id as "tenantId", count(*)::integer as count
         from (select tenant_id from dead_letters where state = 'open' limit ${limit}) as open group by 1`,
      );
      return rows;
    });
  }

  openPage(
    filter: LetterFilter,
    { after, limits }: { after: LetterPlace | undefined; limits: PageLimits },
  ): Promise<WholeLetter[]> {
    const { where, values } = conditions(filter, "open", after);
    return this.#use(async (client) => {
      // Sizes are known without reading the records, so only those are read that are taken.
      const { rows } = await client.query<WholeLetter>(
        `with page as (
           select batch_id, ordinal, accepted_at, octet_length(original) as bytes from dead_letters
           where ${where} order by ${ORDER} limit ${limits.letters}),
         measured as (
           select batch_id, ordinal, row_number() over places as place, sum(bytes) over places as bytes
           from page window places as (order by ${ORDER}))
         select ${LETTER}, original from measured join dead_letters using (batch_id, ordinal)
         where place = 1 or bytes <= ${limits.bytes} order by ${ORDER}`,
        values,
      );
      return rows;
    });
  }

  discard(
    filter: LetterFilter,
    {
      after,
      limit,
      note,
      discardedBy,
    }: { after: LetterPlace | undefined; limit: number; note: string; discardedBy: string },
  ): Promise<{ discarded: number; last: LetterPlace | undefined }> {
    const { where, values } = conditions(filter, "open", after);
    return this.#use(async (client) => {
      await client.query("begin");
      const { rows: page } = await client.query<Letter>(
        `select ${LETTER} from dead_letters where ${where} order by ${ORDER} limit ${limit}`,
        values,
      );
      const isOpen = await lockLetters(client, page);
      const open = page.filter((letter) => isOpen.get(formatLetterId(letter)) === true);
      await client.query(
        `update dead_letters l set state = 'discarded', settled_at = now(), discarded_by = $3, note = $4
         from unnest($1::uuid[], $2::integer[]) as n (batch_id, ordinal)
         where l.batch_id = n.batch_id and l.ordinal = n.ordinal`,
        [...columnsOf(open), discardedBy, note],
      );
      const totals = new SourceTotals();
      for (const letter of open) totals.of(letter, BigInt(letter.acceptedAtUs)).discarded += 1;
      await bookTotals(client, totals, DISCARD_LANE);
      await client.query("commit");
      return { discarded: open.length, last: page.at(-1) };
    });
  }

  async #use<T>(ask: (client: Client) => Promise<T>): Promise<T> {
    const client = new Client({
      ...connectionOptions(this.#url),
      application_name: "chowhound-store-letters",
      statement_timeout: this.#statementTimeoutMs,
      query_timeout: this.#statementTimeoutMs + 5_000,
    });
    // A lost connection fails the query that is under way.
    client.on("error", () => {});
    try {
      await client.connect();
      return await ask(client);
    } catch (error) {
      throw explainForOperator(error);
    } finally {
      // Ends a transaction that was begun and not committed, too.
      await endClient(client);
    }
  }
}

/** SQL for the letters of a selection, with its parameters. */
function conditions(
  { ids, tenantId, sourceType, sourceId, stage, reason, since, before, firstSeenBy }: LetterFilter,
  state: LetterState | undefined,
  after?: LetterPlace,
): { where: string; values: unknown[] } {
  const values: unknown[] = [];
  const parameter = (value: unknown): string => `$${values.push(value)}`;
  const parts = state === undefined ? [] : [`state = ${parameter(state)}`];
  const equal = { tenant_id: tenantId, source_type: sourceType, source_id: sourceId, stage, reason };
  for (const [column, value] of Object.entries(equal))
    if (value !== undefined) parts.push(`${column} = ${parameter(value)}`);
  if (since !== undefined) parts.push(`last_seen >= ${parameter(since)}`);
  if (before !== undefined) parts.push(`last_seen < ${parameter(before)}`);
  if (firstSeenBy !== undefined) parts.push(`first_seen <= ${parameter(firstSeenBy)}::timestamptz`);
  if (ids !== undefined) {
    const [batchIds, ordinals] = columnsOf(ids);
    parts.push(
      `(batch_id, ordinal) in (select * from unnest(${parameter(batchIds)}::uuid[], ${parameter(ordinals)}::integer[]))`,
    );
  }
  if (after !== undefined) {
    const time = timeOf(`${parameter(after.acceptedAtUs)}::bigint`);
    parts.push(
      `(accepted_at, batch_id, ordinal) > (${time}, ${parameter(after.batchId)}::uuid, ${parameter(after.ordinal)}::integer)`,
    );
  }
  return { where: parts.join(" and "), values };
}
