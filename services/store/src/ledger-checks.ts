import type { Client } from "pg";
import { highestGiven } from "./given-numbers.ts";
import type { Finding, RawNumbers, WriteOffReason } from "./ledger.ts";
import { VERDICTS } from "./verdict.ts";

/** The numbers of one epoch that must all be accounted for: those above `through` up to `last`. */
export interface EpochBounds {
  epoch: string;
  /** Up to here invoices are folded into sums. */
  through: string;
  last: string;
}

export interface CheckContext {
  client: Client;
  bounds: readonly EpochBounds[];
  /** What RAW had given out after the snapshot was taken. */
  raw: RawNumbers;
  /** How many findings to read at most. */
  limit: number;
}

/** The findings of one check, as many as were asked for, and how many there are. */
export interface Checked {
  findings: Finding[];
  count: number;
}

/** A check within the snapshot; those below `countSources` need its temporary tables. */
export interface Check {
  what: string;
  run(context: CheckContext): Promise<Checked>;
}

/** Columns that invoices and totals have in common. */
const SHARED = ["accepted", ...VERDICTS, "reclaimed"];
export const SUM_OF_VERDICTS = VERDICTS.join(" + ");
const SOURCE = "tenant_id, source_type, source_id";

/** SQL: an operator has accepted what is wrong with the number. */
export const isWrittenOff = (number: string, reasons: readonly WriteOffReason[]): string =>
  `exists (select from audit_write_offs w where w.epoch = ${number}.epoch
     and w.reason in (${reasons.map((reason) => `'${reason}'`).join(", ")})
     and ${number}.raw_seq between w.first_seq and w.last_seq)`;

/** SQL: numbers that were given to more than one batch. Parameters 1 and 2 are what RAW has given out by now. */
export const REUSED_NUMBERS = `
  select epoch, raw_seq from invoices where epoch > 0 group by epoch, raw_seq having count(*) > 1
  union
  select i.epoch, i.raw_seq from invoice_repeats r
    join invoices i on i.epoch = r.epoch and i.raw_seq = r.raw_seq and i.batch_id <> r.batch_id
  union
  select epoch, raw_seq from invoice_repeats group by epoch, raw_seq having count(*) > 1
  union
  select i.epoch, i.raw_seq from invoices i
    join compacted_invoices c on c.epoch = i.epoch and i.raw_seq <= c.through_seq
  union
  select epoch, n from (
    select epoch, unnest(range_agg(int8range(first_seq, last_seq, '[]'))) as numbers from raw_rewinds group by epoch) r,
    generate_series(lower(numbers), upper(numbers) - 1) n
    where epoch <> $1 or n <= $2`;

/** Sums up the totals and counts the rows by source, once for all checks and balances. */
export async function countSources(client: Client): Promise<void> {
  const numbers = [...SHARED, "replayed", "deleted", "discarded"];
  await client.query(`
    create temporary table audit_totals on commit drop as
    select ${SOURCE}, ${numbers.map((name) => `sum(${name})::bigint as ${name}`).join(", ")}
    from totals group by ${SOURCE}`);
  await client.query(`
    create temporary table audit_rows on commit drop as
    select ${SOURCE}, count(*) as rows from records group by ${SOURCE}`);
}

export const CHECKS: readonly Check[] = [
  {
    what: "numbers",
    run: async ({ client, bounds, limit }) => {
      const judged = bounds.filter(({ through, last }) => BigInt(last) > BigInt(through));
      const { rows } = await client.query(
        `with bounds as (select * from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as b (epoch, through, last)),
         accounted as (
           select b.epoch, i.raw_seq as first, i.raw_seq as last from bounds b
             join invoices i on i.epoch = b.epoch and i.raw_seq > b.through and i.raw_seq <= b.last
           union all select b.epoch, r.raw_seq, r.raw_seq from bounds b
             join invoice_repeats r on r.epoch = b.epoch and r.raw_seq > b.through and r.raw_seq <= b.last
           union all select b.epoch, w.first_seq, w.last_seq from bounds b
             join audit_write_offs w on w.epoch = b.epoch and w.last_seq > b.through and w.first_seq <= b.last
               and w.reason = 'number_missing'
           union all select epoch, through, through from bounds
           union all select epoch, last + 1, last + 1 from bounds),
         ordered as (
           select epoch, first, max(last) over (partition by epoch order by first, last
             rows between unbounded preceding and 1 preceding) as before
           from accounted)
         select epoch, before + 1 as first, first - 1 as last, count(*) over () as count
         from ordered where first > before + 1 order by epoch, first limit $4`,
        [
          ...["epoch", "through", "last"].map((name) => judged.map((b) => b[name as keyof EpochBounds])),
          limit,
        ],
      );
      return toChecked(rows, ({ epoch, first, last }) => ({
        reason: "number_missing",
        ...rangeOf(epoch, first, last),
        counter: "batches",
        expected: BigInt(last!) - BigInt(first!) + 1n,
        found: 0n,
      }));
    },
  },
  {
    what: "numbers that were given out twice",
    run: async ({ client, raw, limit }) => {
      const { rows } = await client.query(
        `with reused as (${REUSED_NUMBERS}),
         islands as (
           select epoch, raw_seq, raw_seq - row_number() over (partition by epoch order by raw_seq) as island
           from reused r where not ${isWrittenOff("r", ["number_reused"])}),
         ranges as (select epoch, min(raw_seq) as first, max(raw_seq) as last from islands group by epoch, island)
         select epoch, first, last, count(*) over () as count, array(
           select batch_id::text from invoices where epoch = ranges.epoch and raw_seq = first
           union select batch_id::text from invoice_repeats where epoch = ranges.epoch and raw_seq = first
           order by 1 limit 5) as batch_ids
         from ranges order by epoch, first limit $3`,
        [raw.epoch, raw.last, limit],
      );
      return toChecked(rows, ({ epoch, first, last, batch_ids }) => ({
        reason: "number_reused",
        ...rangeOf(epoch, first, last),
        batchIds: batch_ids as unknown as string[],
        counter: "batches of a number",
        expected: 1n,
        // The batch that was folded into a sum has no name any more, and one that was lost never had.
        found: BigInt(Math.max(2, batch_ids!.length)),
      }));
    },
  },
  {
    what: "numbers ahead of RAW",
    run: async ({ client, raw }) => {
      const { rows } = await client.query(
        // What is not booked can be written off piece by piece.
        `with ahead as (
           select unnest(int8multirange(int8range($2::bigint, last, '(]')) - coalesce(range_agg(written_off), '{}')) as numbers
           from (select ${highestGiven("$1")} as last) given left join lateral (
             select int8range(first_seq, last_seq, '[]') as written_off from audit_write_offs
             where epoch = $1 and reason = 'number_reused') w on true
           where last > $2 group by last)
         select min(lower(numbers)) as first, max(upper(numbers)) - 1 as last from ahead having count(*) > 0`,
        [raw.epoch, raw.last],
      );
      return toChecked(
        rows.map((row) => ({ ...row, count: "1" })),
        ({ first, last }) => ({
          reason: "number_ahead",
          ...rangeOf(String(raw.epoch), first, last),
          counter: "last number",
          expected: raw.last,
          found: BigInt(last!),
        }),
      );
    },
  },
  {
    what: "repeated batches",
    run: async ({ client, limit }) => {
      const { rows } = await client.query(
        `select epoch, raw_seq, batch_id, count(*) over () as count,
           (select count(*) + 1 from invoice_repeats o where o.batch_id = r.batch_id) as found
         from invoice_repeats r
         where not is_replay and not ${isWrittenOff("r", ["batch_repeated", "number_reused"])}
         order by epoch, raw_seq limit $1`,
        [limit],
      );
      return toChecked(rows, ({ epoch, raw_seq, batch_id, found }) => ({
        reason: "batch_repeated",
        ...rangeOf(epoch, raw_seq, raw_seq),
        batchIds: [batch_id!],
        counter: "numbers of the batch",
        expected: 1n,
        found: BigInt(found!),
      }));
    },
  },
  {
    what: "invoices",
    run: async ({ client, limit }) => {
      const { rows } = await client.query(
        `select *, count(*) over () as count from (
           select epoch, raw_seq as first, raw_seq as last, batch_id::text, accepted, ${SUM_OF_VERDICTS} as found
           from invoices where accepted <> ${SUM_OF_VERDICTS}
           union all
           select epoch, 1, through_seq, null, accepted, ${SUM_OF_VERDICTS}
           from compacted_invoices where accepted <> ${SUM_OF_VERDICTS}) unbalanced
         order by epoch, first limit $1`,
        [limit],
      );
      return toChecked(rows, ({ epoch, first, last, batch_id, accepted, found }) => ({
        reason: "invoice_unbalanced",
        ...rangeOf(epoch, first, last),
        batchIds: batch_id == null ? [] : [batch_id],
        counter: "verdicts",
        expected: BigInt(accepted!),
        found: BigInt(found!),
      }));
    },
  },
  {
    what: "totals by source",
    run: async ({ client, limit }) => {
      const { rows } = await client.query(
        `select ${SOURCE}, accepted, ${SUM_OF_VERDICTS} as found, count(*) over () as count
         from audit_totals where accepted <> ${SUM_OF_VERDICTS} order by ${SOURCE} limit $1`,
        [limit],
      );
      return toChecked(rows, (row) => ({
        reason: "totals_unbalanced",
        ...sourceOf(row),
        counter: "verdicts",
        expected: BigInt(row.accepted!),
        found: BigInt(row.found!),
      }));
    },
  },
  {
    what: "sums of the totals",
    run: async ({ client, limit }) => {
      const names = [...SHARED, "replayed"];
      const sums = (table: string, of: (name: string) => string): string =>
        `select ${names.map((name) => `coalesce(sum(${of(name)}), 0) as ${name}`).join(", ")} from ${table}`;
      const ofInvoice = (name: string): string =>
        name === "replayed" ? "case when replay_of is not null then accepted else 0 end" : name;
      const { rows } = await client.query(
        `with i as (${sums("invoices", ofInvoice)}), c as (${sums("compacted_invoices", String)}),
           t as (${sums("audit_totals", String)}),
         compared as (${names
           .map(
             (name) =>
               `select '${name}' as counter, i.${name} + c.${name} as expected, t.${name} as found from i, c, t`,
           )
           .join(" union all ")})
         select *, count(*) over () as count from compared where expected <> found limit $1`,
        [limit],
      );
      return toChecked(rows, ({ counter, expected, found }) => ({
        reason: "totals_differ",
        counter: counter!,
        expected: BigInt(expected!),
        found: BigInt(found!),
      }));
    },
  },
  {
    what: "rows by source",
    run: async ({ client, limit }) => {
      const { rows } = await client.query(
        `select *, count(*) over () as count from (
           select ${SOURCE}, coalesce(stored - deleted, 0) as expected, coalesce(rows, 0) as found
           from audit_totals full join audit_rows using (${SOURCE})) compared
         where expected <> found order by ${SOURCE} limit $1`,
        [limit],
      );
      return toChecked(rows, (row) => ({
        reason: "rows_differ",
        ...sourceOf(row),
        counter: "rows",
        expected: BigInt(row.expected!),
        found: BigInt(row.found!),
      }));
    },
  },
  {
    what: "dead letters",
    run: async ({ client, limit }) => {
      const { rows } = await client.query(
        `with booked as (
           select tenant_id, sum(dead_lettered - reclaimed - discarded) as expected from audit_totals group by tenant_id),
         kept as (select tenant_id, count(*) as found from dead_letters where state = 'open' group by tenant_id)
         select *, count(*) over () as count from (
           select tenant_id, coalesce(expected, 0) as expected, coalesce(found, 0) as found
           from booked full join kept using (tenant_id)) compared
         where expected <> found order by tenant_id limit $1`,
        [limit],
      );
      return toChecked(rows, ({ tenant_id, expected, found }) => ({
        reason: "letters_differ",
        tenantId: tenant_id!,
        counter: "open dead letters",
        expected: BigInt(expected!),
        found: BigInt(found!),
      }));
    },
  },
];

type Row = Record<string, string>;

function toChecked(rows: readonly Row[], toFinding: (row: Row) => Finding): Checked {
  return { findings: rows.map(toFinding), count: Number(rows[0]?.count ?? 0) };
}

function rangeOf(epoch: string | undefined, first: string | undefined, last: string | undefined) {
  return { epoch: BigInt(epoch!), first: BigInt(first!), last: BigInt(last!) };
}

function sourceOf({ tenant_id, source_type, source_id }: Row) {
  return { tenantId: tenant_id!, sourceType: source_type!, sourceId: source_id! };
}
