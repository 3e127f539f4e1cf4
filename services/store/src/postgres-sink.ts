import type { Logger } from "@chowhound/shared/runtime/logger";
import { Client } from "pg";
import type { IngestionSink, IngestionWriter } from "./ingestion-writer.ts";
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
    const client = await this.#connected();
    const { rows } = await client.query<{ generation: string; booked: number }>({
      name: "confirm",
      text: `select database_generation() as generation,
        (select count(*)::integer from invoices where batch_id = any($1::uuid[])) as booked`,
      values: [batchIds.map((id) => Buffer.from(id).toString("hex"))],
    });
    const { generation, booked } = rows[0]!;
    return { generation, allBooked: booked === batchIds.length };
  }

  async close(): Promise<void> {
    const reader = await this.#reader?.catch(() => undefined);
    await reader?.end().catch(() => {});
  }

  #connected(): Promise<Client> {
    this.#reader ??= this.#connect().catch((error: unknown) => {
      this.#reader = undefined;
      throw error;
    });
    return this.#reader;
  }

  async #connect(): Promise<Client> {
    const client = new Client({
      connectionString: this.#options.url,
      application_name: "chowhound-store-confirm",
      connectionTimeoutMillis: CONFIRM_TIMEOUT_MS,
      query_timeout: CONFIRM_TIMEOUT_MS,
    });
    const forget = (): void => {
      this.#reader = undefined;
    };
    client.on("error", forget);
    client.on("end", forget);
    await client.connect();
    return client;
  }
}
