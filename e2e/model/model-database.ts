import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { HASH_BYTES } from "@chowhound/shared/record/content-hash";
import { UnbalancedError } from "../../services/store/src/books.ts";
import { GroupReader, type IncomingRecord } from "../../services/store/src/incoming-record.ts";
import type { BatchOutcome, ReportedBatch, WriteResult } from "../../services/store/src/ingestion-writer.ts";
import { compareOrder } from "../../services/store/src/record-order.ts";
import { type Candidate, settleRecords } from "../../services/store/src/settle-records.ts";
import {
  noVerdicts,
  sumVerdicts,
  type Verdict,
  type VerdictCounts,
} from "../../services/store/src/verdict.ts";
import type { Rules } from "./rules.ts";

/** A row, as far as it decides anything. */
export interface ModelRow extends Candidate {
  /** What it was made of; `ordersBy` may have changed what is compared. */
  record: IncomingRecord;
}

export interface ModelInvoice {
  /** The generation of the database that booked it. */
  generation: string;
  accepted: number;
  verdicts: VerdictCounts;
}

/** All that the store keeps. */
export interface Contents {
  rows: Map<string, ModelRow>;
  /** By batch id, in hexadecimal digits. */
  invoices: Map<string, ModelInvoice>;
  /** Each as "<batch id>/<ordinal>". */
  deadLetters: string[];
  /** Over everything booked, as the table of totals adds them up. */
  totals: VerdictCounts & { accepted: number; deleted: number };
  /** Transactions that have moved rows to other keys. */
  moves: number;
}

/** Verdicts after which the record is in the table, or superseded there. */
const SETTLED = new Set<Verdict>(["stored", "updated", "unchanged", "stale"]);

/** The tables of the store and its one transaction, which is all that the rest of the mesh relies on. */
export class ModelDatabase {
  readonly #rules: Rules;
  readonly #reader = new GroupReader();
  #contents: Contents = {
    rows: new Map(),
    invoices: new Map(),
    deadLetters: [],
    totals: { ...noVerdicts(), accepted: 0, deleted: 0 },
    moves: 0,
  };
  #starts = 0;

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  get contents(): Readonly<Contents> {
    return this.#contents;
  }

  get #generation(): string {
    return `generation ${this.#starts}/${this.#contents.moves}`;
  }

  /** As `IngestionSink.confirm`. */
  confirm(
    batches: readonly ReportedBatch[],
    boundTo: string | undefined,
  ): { generation: string; allBooked: boolean } {
    const generation = this.#generation;
    const isProof = {
      "as reported": (booked: string, reported: string) => booked === reported,
      "from before": (booked: string) => boundTo === generation || booked !== generation,
      any: () => true,
    }[this.#rules.countsBookings];
    const isBooked = (reported: ReportedBatch): boolean => {
      const invoice = this.#contents.invoices.get(hex(reported.batchId));
      const isOfThisTable = movesOf(reported.generation) === movesOf(generation);
      return invoice !== undefined && isOfThisTable && isProof(invoice.generation, reported.generation);
    };
    return { generation, allBooked: batches.every(isBooked) };
  }

  backUp(): Contents {
    return copy(this.#contents);
  }

  /** Another database from now on: what it was at the time of the backup. */
  restore(backup: Contents): void {
    this.#contents = copy(backup);
    this.restart();
  }

  /** Nothing is lost, but nobody who looks at the generation can know. */
  restart(): void {
    this.#starts++;
  }

  /** One transaction, as `PostgresWriter.write`. */
  write(batches: readonly RecordBatch[]): WriteResult {
    const claimed = this.#claim(batches);
    const { totals, deadLetters } = this.#contents;
    const count = (batch: RecordBatch, verdict: Verdict, n = 1): void => {
      this.#invoiceOf(batch).verdicts[verdict] += n;
      totals[verdict] += n;
    };
    const records: IncomingRecord[] = [];
    for (const batch of claimed) {
      totals.accepted += batch.acceptedCount;
      for (const dropped of batch.dropped) count(batch, "duplicate", dropped.count);
      const read = this.#reader.read([batch]);
      records.push(...read.records);
      for (const { ordinal } of read.dead) {
        deadLetters.push(`${hex(batch.batchId)}/${ordinal}`);
        count(batch, "dead_lettered");
      }
    }
    const movesBefore = this.#contents.moves;
    const verdicts = this.#settle(records);
    const hasMoved = this.#contents.moves > movesBefore;
    for (const [{ batch }, verdict] of verdicts) count(batch, verdict);

    const outcomes = batches.map((batch): BatchOutcome => {
      const { batchId } = batch;
      if (!claimed.has(batch)) return { kind: "already_booked", batchId };
      const { accepted, verdicts: counts } = this.#invoiceOf(batch);
      if (sumVerdicts(counts) !== accepted)
        throw new UnbalancedError(`${sumVerdicts(counts)} verdicts for ${accepted} accepted records`);
      const committed = records.filter(
        (record) => record.batch === batch && SETTLED.has(verdicts.get(record)!) && !hasMoved,
      );
      const fingerprints = committed.map(({ fingerprint }) => fingerprint);
      const isAll = this.#rules.reports === "booked" || committed.length === accepted;
      while (isAll && fingerprints.length < accepted) fingerprints.push(Buffer.alloc(HASH_BYTES));
      return {
        kind: "booked",
        batchId,
        verdicts: { ...counts },
        committedFingerprints: Buffer.concat(fingerprints),
        committedOrdinals: isAll ? [] : committed.map(({ ordinal }) => ordinal),
      };
    });
    return { generation: this.#generation, outcomes, hasMoved };
  }

  /** The batches that have not been written before; of two copies the first. */
  #claim(batches: readonly RecordBatch[]): Set<RecordBatch> {
    const { invoices } = this.#contents;
    const claimed = new Set<RecordBatch>();
    for (const batch of batches) {
      const id = hex(batch.batchId);
      if (this.#rules.claims && invoices.has(id)) continue;
      const { acceptedCount: accepted } = batch;
      invoices.set(id, { generation: this.#generation, accepted, verdicts: noVerdicts() });
      claimed.add(batch);
    }
    return claimed;
  }

  /**
   * As `RowWriter`: where no uuid stands in the way nor is a row elsewhere, of each key the greatest record meets the row of the key, and the
   * others are told by comparing them with it; else the records are decided about one by one, as they come.
   */
  #settle(records: readonly IncomingRecord[]): Map<IncomingRecord, Verdict> {
    const { rows } = this.#contents;
    const seen = records.map((record): ModelRow => ({ ...this.#rules.ordersBy(record), record }));
    const greatest = greatestOfEachKey(seen);
    const upserted = hasUuidOfTwoKeys(seen) ? undefined : upsert(rows, [...greatest.values()]);
    if (upserted === undefined || seen.some((record) => isRowElsewhere(upserted, record))) {
      const related = [...rows.values()].filter((row) =>
        seen.some((record) => record.key === row.key || sameUuid(record, row)),
      );
      return this.#apply(related, seen);
    }
    const verdicts = new Map<IncomingRecord, Verdict>();
    for (const record of seen) {
      const winner = greatest.get(record.key)!;
      const verdict = compareOrder(record, winner) === 0 ? "unchanged" : "stale";
      if (record !== winner) verdicts.set(record.record, verdict);
    }
    for (const winner of greatest.values()) {
      const row = rows.get(winner.key);
      for (const [record, verdict] of this.#apply(row === undefined ? [] : [row], [winner]))
        verdicts.set(record, verdict);
    }
    return verdicts;
  }

  #apply(related: readonly ModelRow[], records: readonly ModelRow[]): Map<IncomingRecord, Verdict> {
    const { rows, totals } = this.#contents;
    const { verdicts, winners, removals, deletions, hasMoved } = settleRecords(related, records);
    if (hasMoved && this.#rules.forgetsAfterMoves) this.#contents.moves++;
    for (const key of removals) rows.delete(key);
    for (const winner of winners) rows.set(winner.key, winner);
    totals.deleted += deletions.filter(Boolean).length;
    return new Map(records.map(({ record }, place) => [record, verdicts[place]!]));
  }

  #invoiceOf({ batchId }: RecordBatch): ModelInvoice {
    return this.#contents.invoices.get(hex(batchId))!;
  }
}

function greatestOfEachKey(records: readonly ModelRow[]): Map<string, ModelRow> {
  const greatest = new Map<string, ModelRow>();
  for (const record of records) {
    const other = greatest.get(record.key);
    if (other === undefined || compareOrder(record, other) > 0) greatest.set(record.key, record);
  }
  return greatest;
}

function hasUuidOfTwoKeys(records: readonly ModelRow[]): boolean {
  return records.some((a) => records.some((b) => a.key !== b.key && sameUuid(a, b)));
}

/** The rows afterwards, where every record finds its uuid free when its turn comes, in the order of the keys. */
function upsert(
  rows: ReadonlyMap<string, ModelRow>,
  records: readonly ModelRow[],
): ReadonlyMap<string, ModelRow> | undefined {
  const after = new Map(rows);
  for (const record of records.toSorted((a, b) => (a.key < b.key ? -1 : 1))) {
    const row = after.get(record.key);
    if (row !== undefined && compareOrder(record, row) <= 0) continue;
    if ([...after.values()].some((other) => other.key !== record.key && sameUuid(other, record)))
      return undefined;
    after.set(record.key, record);
  }
  return after;
}

/** Whether a record that is no row is, by its uuid, the row of another data_id. */
function isRowElsewhere(rows: ReadonlyMap<string, ModelRow>, record: ModelRow): boolean {
  if (rows.get(record.key) === record) return false;
  return [...rows.values()].some((row) => sameUuid(row, record) && row.key !== record.key);
}

function sameUuid(a: Candidate, b: Candidate): boolean {
  return a.uuid === b.uuid && a.tenantId === b.tenantId;
}

function movesOf(generation: string): string {
  return generation.slice(generation.indexOf("/"));
}

function copy({ rows, invoices, deadLetters, totals, moves }: Contents): Contents {
  return {
    rows: new Map(rows),
    invoices: new Map(
      [...invoices].map(([id, invoice]) => [id, { ...invoice, verdicts: { ...invoice.verdicts } }]),
    ),
    deadLetters: [...deadLetters],
    totals: { ...totals },
    moves,
  };
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
