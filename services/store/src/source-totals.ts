import type { Client } from "pg";
import { storable } from "./storable.ts";
import { noVerdicts, VERDICTS, type VerdictCounts } from "./verdict.ts";

export interface Source {
  tenantId: string;
  sourceType: string;
  sourceId: string;
}

/** What the books count of one source and hour of acceptance. */
export interface SourceTotal extends VerdictCounts {
  /** Of these `replayed` were accepted before, and died. */
  accepted: number;
  /** Rows that a newer pipeline moved onto a key that had a row. */
  deleted: number;
  replayed: number;
  /** Dead letters that a replay took off the open ones. */
  reclaimed: number;
  /** Dead letters that somebody gave up. */
  discarded: number;
}

const NUMBERS = ["accepted", ...VERDICTS, "deleted", "replayed", "reclaimed", "discarded"] as const;
const HOUR_US = 3_600_000_000n;

/** Sums per source and hour, ready to be booked. */
export class SourceTotals {
  readonly #totals = new Map<string, { source: Source; hour: Date; total: SourceTotal }>();
  /** Of the records accepted at one time, which are those of a batch. */
  readonly #recent = new Map<Source, SourceTotal>();
  #recentUs: bigint | undefined;

  /** The sums to add to, of a record accepted at that time. Quickest where a source is always the same object. */
  of(source: Source, acceptedAtUs: bigint): SourceTotal {
    if (acceptedAtUs !== this.#recentUs) {
      this.#recentUs = acceptedAtUs;
      this.#recent.clear();
    }
    let total = this.#recent.get(source);
    if (total === undefined) {
      total = this.#find(source, acceptedAtUs / HOUR_US);
      this.#recent.set(source, total);
    }
    return total;
  }

  #find(source: Source, hour: bigint): SourceTotal {
    const key = `${source.tenantId}\0${source.sourceType}\0${source.sourceId}\0${hour}`;
    let entry = this.#totals.get(key);
    if (entry === undefined) {
      const total = {
        accepted: 0,
        ...noVerdicts(),
        deleted: 0,
        replayed: 0,
        reclaimed: 0,
        discarded: 0,
      };
      entry = { source, hour: new Date(Number((hour * HOUR_US) / 1000n)), total };
      this.#totals.set(key, entry);
    }
    return entry.total;
  }

  /** In the order in which they are locked. */
  get sorted(): { source: Source; hour: Date; total: SourceTotal }[] {
    return [...this.#totals].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
  }
}

/**
 * Adds to the totals. The last thing in a transaction, since writers meet on the totals.
 *
 * @param lane which of the rows of a source and hour; writers on other lanes don't wait
 */
export async function bookTotals(client: Client, totals: SourceTotals, lane: number): Promise<void> {
  const sorted = totals.sorted;
  await client.query({
    name: "book-totals",
    text: `
      insert into totals as t (tenant_id, source_type, source_id, hour, lane, ${NUMBERS.join(", ")})
      select tenant_id, source_type, source_id, hour, $5, ${NUMBERS.join(", ")}
      from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[],
        ${NUMBERS.map((_, i) => `$${i + 6}::bigint[]`).join(", ")})
        as n (tenant_id, source_type, source_id, hour, ${NUMBERS.join(", ")})
      on conflict (tenant_id, source_type, source_id, hour, lane) do update
      set ${NUMBERS.map((name) => `${name} = t.${name} + excluded.${name}`).join(", ")}`,
    values: [
      sorted.map(({ source }) => source.tenantId),
      sorted.map(({ source }) => storable(source.sourceType)),
      sorted.map(({ source }) => storable(source.sourceId)),
      sorted.map(({ hour }) => hour),
      lane,
      ...NUMBERS.map((name) => sorted.map(({ total }) => total[name])),
    ],
  });
}
