import type { Logger } from "@chowhound/shared/runtime/logger";
import { Client, type QueryConfig, type QueryResultRow } from "pg";
import { FrozenHolders } from "./frozen-holders.ts";
import type { IngestionSink, IngestionWriter, ReportedBatch, SinkDurability } from "./ingestion-writer.ts";
import { connectionOptions, endClient } from "./postgres-connection.ts";
import { type CommitSettings, judgeCommit } from "./postgres-durability.ts";
import { PostgresLedger } from "./postgres-ledger.ts";
import { PostgresLetters } from "./postgres-letters.ts";
import { PostgresReader } from "./postgres-reader.ts";
import { PostgresWriter } from "./postgres-writer.ts";

export interface PostgresSinkOptions {
  /** postgres://user:password@host:port/database */
  url: string;
  statementTimeoutMs: number;
  /** Connections that answer queries. */
  readers: number;
  log: Logger;
}

const CONFIRM_TIMEOUT_MS = 2_000;
/** SQL: which table of rows a generation speaks of, and which file: another one after a TRUNCATE, which leaves the invoices. */
const TABLE_OF = (generation: string): string =>
  `(split_part(${generation}, '/', 3), split_part(${generation}, '/', 4))`;

/** PostgreSQL as the sink: writers of one connection each, one more to confirm what is in it, and a few to read it back. */
export class PostgresSink implements IngestionSink {
  readonly name = "postgres";
  readonly reader: PostgresReader;
  readonly deadLetters: PostgresLetters;
  readonly ledger: PostgresLedger;
  readonly #options: PostgresSinkOptions;
  readonly #holders: FrozenHolders;
  #confirmer: Promise<Client> | undefined;
  /** The same, once all questions before are answered: a connection takes one at a time. */
  #freeConfirmer: Promise<Client> | undefined;

  constructor(options: PostgresSinkOptions) {
    this.#options = options;
    this.reader = new PostgresReader({ url: options.url, connections: options.readers, log: options.log });
    this.deadLetters = new PostgresLetters(options);
    this.ledger = new PostgresLedger(options);
    this.#holders = new FrozenHolders(options);
  }

  createWriter(lane: number): IngestionWriter {
    return new PostgresWriter({ ...this.#options, lane, holders: this.#holders });
  }

  readConnections(): { used: number; idle: number; waiting: number } {
    return this.reader.connections;
  }

  async confirm(batches: readonly ReportedBatch[]): Promise<{ generation: string; allBooked: boolean }> {
    const { generation, booked } = await this.#ask<{ generation: string; booked: number }>({
      name: "confirm",
      // Once, for it reads a table.
      text: `with database as materialized (select database_generation() as generation)
        select database.generation,
          (select count(*)::integer from invoices i
            join unnest($1::uuid[], $2::text[]) as reported (batch_id, generation) using (batch_id)
            where i.generation = hashtextextended(reported.generation, 0)
              and moves_of(reported.generation) = moves_of(database.generation)
              and ${TABLE_OF("reported.generation")} = ${TABLE_OF("database.generation")}) as booked
        from database`,
      values: [
        batches.map(({ batchId }) => Buffer.from(batchId).toString("hex")),
        batches.map(({ generation }) => generation),
      ],
    });
    return { generation, allBooked: booked === batches.length };
  }

  async durability(): Promise<SinkDurability> {
    return judgeCommit(
      await this.#ask<CommitSettings>({
        name: "durability",
        text: `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as synchronous_commit,
          current_setting('full_page_writes') as full_page_writes`,
      }),
    );
  }

  async close(): Promise<void> {
    const confirmer = await this.#confirmer?.catch(() => undefined);
    this.#confirmer = undefined;
    if (confirmer !== undefined) await endClient(confirmer);
    await this.reader.close();
  }

  /** The one row that answers a question, asked on the connection beside the writers. */
  async #ask<Row extends QueryResultRow>(query: QueryConfig): Promise<Row> {
    this.#confirmer ??= this.#freeConfirmer = this.#connect();
    const confirmer = this.#confirmer;
    const answered = this.#freeConfirmer!.then((client) => client.query<Row>(query));
    // Where one gets no answer, those behind it on the same connection don't either.
    this.#freeConfirmer = answered.then(() => confirmer);
    this.#freeConfirmer.catch(() => {});
    try {
      return (await answered).rows[0]!;
    } catch (error) {
      // A connection that failed once may hold an answer that nobody waits for: the first who notices has all begin anew.
      if (this.#confirmer === confirmer) {
        this.#confirmer = undefined;
        void confirmer.then(endClient, () => {});
      }
      throw error;
    }
  }

  async #connect(): Promise<Client> {
    const client = new Client({
      ...connectionOptions(this.#options.url),
      application_name: "chowhound-store-confirm",
      connectionTimeoutMillis: CONFIRM_TIMEOUT_MS,
      query_timeout: CONFIRM_TIMEOUT_MS,
    });
    // It shows at the next question.
    client.on("error", () => {});
    await client.connect();
    return client;
  }
}
