import { setTimeout as sleep } from "node:timers/promises";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { Client, DatabaseError, type QueryResult } from "pg";
import { bookCounts, claimBatches, GroupCounts, UnbalancedError } from "./books.ts";
import { BEGIN_BOOKING } from "./books-lock.ts";
import { FrozenHolders, WRITER_NAME } from "./frozen-holders.ts";
import { noteSecondNumbers } from "./given-numbers.ts";
import { GroupFates } from "./group-fates.ts";
import { GroupReader, type IncomingRecord } from "./incoming-record.ts";
import type { BatchOutcome, IngestionWriter, WriteResult } from "./ingestion-writer.ts";
import { lockLetters, replayedLetters, writeLetters } from "./letter-rows.ts";
import { migrate } from "./migrate.ts";
import {
  connectionOptions,
  endClient,
  readSession,
  type Session,
  terminateSession,
} from "./postgres-connection.ts";
import { recordVerdicts } from "./record-verdicts.ts";
import { PREPARE_CONNECTION, RowWriter } from "./row-writer.ts";
import { LetterSettlement } from "./settle-letters.ts";
import { isConflictOfWriters } from "./sql-errors.ts";
import type { Verdict } from "./verdict.ts";

export interface PostgresWriterOptions {
  /** postgres://user:password@host:port/database */
  url: string;
  statementTimeoutMs: number;
  /** Which of the totals' lanes this writer books on. */
  lane: number;
  log: Logger;
  /** Looks after what holds up this writer; one for all of a process knows most. */
  holders?: FrozenHolders;
}

/** How often a group is tried again at once when writers got into each other's way. */
const MAX_CONFLICTS = 10;

/** Verdicts after which sending the same record again changes nothing. */
const SETTLED = new Set<Verdict>(["stored", "updated", "unchanged", "stale"]);

/**
 * Writes to PostgreSQL over one connection. Each group of batches is one transaction: claim, letters that are replayed,
 * rows, dead letters, books. Only this transaction is exact; everything before it may repeat itself.
 */
export class PostgresWriter implements IngestionWriter {
  readonly #options: PostgresWriterOptions;
  readonly #holders: FrozenHolders;
  readonly #reader = new GroupReader();
  #client: Client | undefined;
  #rows: RowWriter | undefined;
  #isBroken = false;
  #session: Session | undefined;

  constructor(options: PostgresWriterOptions) {
    this.#options = options;
    this.#holders = options.holders ?? new FrozenHolders(options);
  }

  async open(): Promise<void> {
    if (this.#client !== undefined && !this.#isBroken) return;
    await this.close();
    const { url, statementTimeoutMs, log } = this.#options;
    const client = new Client({
      ...connectionOptions(url),
      application_name: WRITER_NAME,
      statement_timeout: statementTimeoutMs,
      // A server that can't even cancel a statement in time is gone.
      query_timeout: statementTimeoutMs + 5_000,
    });
    const onLost = (error?: Error): void => {
      if (this.#client !== client) return;
      this.#isBroken = true;
      if (error !== undefined) log.warn({ why: error.message }, "lost a connection to PostgreSQL");
    };
    client.on("error", onLost);
    client.on("end", () => onLost());
    this.#client = client;
    this.#isBroken = false;
    try {
      await client.connect();
      if (this.#session !== undefined) await terminateSession(client, this.#session);
      this.#session = await readSession(client);
      await this.#migrate();
      await client.query(PREPARE_CONNECTION);
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#rows = new RowWriter(client);
  }

  /** On a connection of its own, without a limit of time: an index over many rows takes as long as it takes. */
  async #migrate(): Promise<void> {
    const { url, log } = this.#options;
    const client = new Client({ ...connectionOptions(url), application_name: WRITER_NAME });
    // A lost connection fails the statement that is under way.
    client.on("error", () => {});
    try {
      await client.connect();
      await this.#holders.watch(await readSession(client), () => migrate(client, log));
    } finally {
      await endClient(client);
    }
  }

  async write(batches: readonly RecordBatch[]): Promise<WriteResult> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#writeOnce(batches);
      } catch (error) {
        if (this.#isBroken || !isConflictOfWriters(error) || attempt === MAX_CONFLICTS) throw error;
        await sleep(Math.random() * 10 * attempt);
      }
    }
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    this.#rows = undefined;
    if (client !== undefined) await endClient(client);
  }

  async #writeOnce(batches: readonly RecordBatch[]): Promise<WriteResult> {
    const client = this.#client;
    const rows = this.#rows;
    const session = this.#session;
    if (client === undefined || rows === undefined || session === undefined)
      throw new Error("not connected to PostgreSQL");
    try {
      const { outcomes, hasMoved } = await this.#holders.watch(session, async () => {
        await client.query(BEGIN_BOOKING);
        return this.#transact(client, rows, batches);
      });
      const startedMs = performance.now();
      const generation = await commit(client);
      return {
        generation,
        outcomes,
        hasMoved,
        commit: { system: "postgresql", tookMs: performance.now() - startedMs },
      };
    } catch (error) {
      // What the server did not answer, it would not roll back either: another connection is quicker.
      if (!(error instanceof DatabaseError || error instanceof UnbalancedError)) this.#isBroken = true;
      else
        await client.query("rollback").catch(() => {
          this.#isBroken = true;
        });
      throw error;
    }
  }

  async #transact(
    client: Client,
    rows: RowWriter,
    batches: readonly RecordBatch[],
  ): Promise<{ outcomes: BatchOutcome[]; hasMoved: boolean }> {
    const isNew = await claimBatches(client, batches);
    const claimed = batches.filter((_, i) => isNew[i]);
    await noteSecondNumbers(client, claimed);
    const letters = new LetterSettlement(await lockLetters(client, replayedLetters(claimed)));
    const counts = new GroupCounts(claimed);
    const fates = new GroupFates(claimed);
    const { records, dead } = this.#reader.read(claimed);
    const applied = await rows.apply(records, this.#reader.rows.bytes);
    dead.push(...applied.dead);

    const settled = new Map<RecordBatch, IncomingRecord[]>(claimed.map((batch) => [batch, []]));
    for (const record of records) {
      const { batch, source, verdict } = record;
      if (verdict === undefined) continue;
      fates.settle(record, verdict);
      counts.add(batch, source, verdict);
      if (applied.deletions.has(record)) counts.addOther(batch, source, { deleted: 1 });
      if (letters.landed(record, verdict)) counts.addOther(batch, source, { reclaimed: 1 });
      if (SETTLED.has(verdict)) settled.get(batch)!.push(record);
    }
    const reclaimed = dead.map((record) => letters.died(record));
    const keptBefore = await writeLetters(client, letters);
    for (const [place, record] of dead.entries()) {
      fates.settle(record, "dead_lettered");
      const { batch, sourceType, sourceId } = record;
      const source = { tenantId: record.call.tenantId, sourceType, sourceId };
      counts.add(batch, source, "dead_lettered");
      // One that has a letter already adds none to the open ones.
      if (keptBefore.has(record) || reclaimed[place] === 1) counts.addOther(batch, source, { reclaimed: 1 });
    }
    await bookCounts(client, counts, fates, this.#options.lane);
    if (applied.hasMoved) await client.query("update database_identity set moves = moves + 1");
    const verdictAt = recordVerdicts(fates, dead);
    const outcomes = batches.map((batch, i): BatchOutcome => {
      if (!isNew[i]) return { kind: "already_booked", batchId: batch.batchId };
      return {
        kind: "booked",
        batchId: batch.batchId,
        verdicts: counts.invoices.get(batch)!.verdicts,
        deadLabels: dead.filter((record) => record.batch === batch && record.stage === "store"),
        // Where rows have moved, a record that was replaced may be missing by now.
        ...committedOf(batch, applied.hasMoved ? [] : settled.get(batch)!),
        verdictAt: (index) => verdictAt(batch, index),
      };
    });
    return { outcomes, hasMoved: applied.hasMoved };
  }
}

/** Commits, and says which generation of the database it was. */
async function commit(client: Client): Promise<string> {
  // Several statements in one round trip give several results, which the library's types don't know.
  const results = (await client.query("select database_generation() as generation; commit")) as unknown;
  return (results as QueryResult<{ generation: string }>[])[0]!.rows[0]!.generation;
}

function committedOf(batch: RecordBatch, records: readonly IncomingRecord[]) {
  const isAllThatCame = records.length === batch.originals.length;
  return {
    committedFingerprints: isAllThatCame
      ? batch.fingerprints
      : Buffer.concat(records.map(({ fingerprint }) => fingerprint)),
    committedOrdinals: records.length === batch.acceptedCount ? [] : records.map(({ ordinal }) => ordinal),
  };
}
