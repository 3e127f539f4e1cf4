import { setTimeout as sleep } from "node:timers/promises";
import { CallError } from "@chowhound/shared/errors/call-error";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { DatabaseError, Pool, type PoolClient, type QueryResultRow } from "pg";
import { connectionOptions } from "./postgres-connection.ts";
import { isTooSlow } from "./sql-errors.ts";

export interface ReadPoolOptions {
  /** postgres://user:password@host:port/database */
  url: string;
  /** Connections; they are opened when there are questions, and closed when there have been none for a while. */
  connections: number;
  log: Logger;
}

export interface Sql {
  text: string;
  values: unknown[];
}

/** Runs one statement of a transaction. Rejects with CallError. */
export type Run = <Row extends QueryResultRow>(sql: Sql) => Promise<Row[]>;

const CONNECT_TIMEOUT_MS = 2_000;
const STATEMENT_TIMEOUT_MS = 5_000;
const IDLE_MS = 30_000;
const END_MS = 1_000;

/** Connections to PostgreSQL for questions of bounded time. */
export class ReadPool {
  readonly #pool: Pool;
  readonly #log: Logger;

  constructor({ url, connections, log }: ReadPoolOptions) {
    this.#log = log;
    this.#pool = new Pool({
      ...connectionOptions(url),
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      application_name: "chowhound-store-query",
      max: connections,
      idleTimeoutMillis: IDLE_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      // A server that can't even cancel a statement in time is gone.
      query_timeout: STATEMENT_TIMEOUT_MS + 1_000,
    });
    // It shows at the next question.
    this.#pool.on("error", ignore);
    // One that is lost while it is used fails the statement that is under way.
    this.#pool.on("connect", (client) => client.on("error", ignore));
  }

  /**
   * Runs `work` in a read-only transaction. Rejects with CallError "query_too_slow" where a statement takes too long,
   * "store_unavailable" where the database is away.
   */
  async read<T>(
    work: (run: Run) => Promise<T>,
    { statementTimeoutMs }: { statementTimeoutMs?: number } = {},
  ): Promise<T> {
    const client = await this.#pool.connect().catch((cause) => {
      throw this.#unavailable(cause);
    });
    let isSound = false;
    try {
      const timeout =
        statementTimeoutMs === undefined ? "" : `; set local statement_timeout = ${statementTimeoutMs}`;
      await this.#run(client, { text: `begin read only${timeout}`, values: [] });
      const result = await work((sql) => this.#run(client, sql));
      isSound = true;
      return result;
    } catch (error) {
      isSound = error instanceof CallError && error.reason !== "store_unavailable";
      throw error;
    } finally {
      const isClean = isSound && (await client.query("rollback").then(isDone, () => false));
      client.release(!isClean);
    }
  }

  /** Those that are open, and the questions that wait for one. */
  get connections(): { used: number; idle: number; waiting: number } {
    const { totalCount, idleCount, waitingCount } = this.#pool;
    return { used: totalCount - idleCount, idle: idleCount, waiting: waitingCount };
  }

  async close(): Promise<void> {
    // It waits until the server has closed each of them, which one that hangs never does.
    await Promise.race([this.#pool.end(), sleep(END_MS, undefined, { ref: false })]);
  }

  async #run<Row extends QueryResultRow>(client: PoolClient, { text, values }: Sql): Promise<Row[]> {
    try {
      return (await client.query<Row>(text, values)).rows;
    } catch (cause) {
      if (cause instanceof DatabaseError && isTooSlow(cause)) {
        const message = `the database found no answer within ${STATEMENT_TIMEOUT_MS / 1000} seconds; ask for less: set source_type and source_id, or put stored_since and stored_before closer together`;
        throw new CallError("query_too_slow", message, { cause });
      }
      throw this.#unavailable(cause);
    }
  }

  #unavailable(cause: unknown): CallError {
    // A database that is away is logged by the probe.
    const level = cause instanceof DatabaseError ? "warn" : "debug";
    this.#log[level]({ why: (cause as Error).message }, "a query failed");
    return new CallError("store_unavailable", "the store can't read its database; try again later", {
      cause,
    });
  }
}

const isDone = (): boolean => true;
const ignore = (): void => {};
