import type { Logger } from "@chowhound/shared/runtime/logger";
import { Client } from "pg";
import type { IngestionSink, IngestionWriter } from "./ingestion-writer.ts";
import { connectionOptions, endClient } from "./postgres-connection.ts";
import { PostgresWriter } from "./postgres-writer.ts";

export interface PostgresSinkOptions {
  /** postgres://user:password@host:port/database */
  url: string;
  statementTimeoutMs: number;
  log: Logger;
}

const CONFIRM_TIMEOUT_MS = 2_000;

/** PostgreSQL as the sink: writers of one connection each, and one more connection to confirm what is in it. */
export class PostgresSink implements IngestionSink {
  readonly name = "postgres";
  readonly #options: PostgresSinkOptions;
  #reader: Promise<Client> | undefined;

  constructor(options: PostgresSinkOptions) {
    this.#options = options;
  }

  createWriter(lane: number): IngestionWriter {
    return new PostgresWriter({ ...this.#options, lane });
  }

  async confirm(batchIds: readonly Uint8Array[]): Promise<{ generation: string; allBooked: boolean }> {
    this.#reader ??= this.#connect();
    const reader = this.#reader;
    try {
      const { rows } = await (await reader).query<{ generation: string; booked: number }>({
        name: "confirm",
        text: `select database_generation() as generation,
          (select count(*)::integer from invoices where batch_id = any($1::uuid[])) as booked`,
        values: [batchIds.map((id) => Buffer.from(id).toString("hex"))],
      });
      const { generation, booked } = rows[0]!;
      return { generation, allBooked: booked === batchIds.length };
    } catch (error) {
      // A connection that failed once may hold an answer that nobody waits for: begin anew.
      if (this.#reader === reader) this.#reader = undefined;
      void reader.then(endClient, () => {});
      throw error;
    }
  }

  async close(): Promise<void> {
    const reader = await this.#reader?.catch(() => undefined);
    this.#reader = undefined;
    if (reader !== undefined) await endClient(reader);
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
