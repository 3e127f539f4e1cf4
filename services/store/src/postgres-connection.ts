import type { Client, ClientConfig } from "pg";

const END_MS = 1_000;

/**
 * What PostgreSQL does about a store that is gone without a word, as behind a router that has forgotten the connection: by
 * itself it would keep the session, with its transaction and locks, for two hours.
 */
const SERVER_SETTINGS = {
  // Bytes that nobody acknowledges.
  tcp_user_timeout: 20_000,
  tcp_keepalives_idle: 10,
  tcp_keepalives_interval: 5,
  tcp_keepalives_count: 3,
};

/**
 * What all connections of the store have: both sides notice within seconds that the other one is gone.
 *
 * @param idleInTransactionMs how long a transaction may wait for the store's next statement: then its locks are let go
 */
export function connectionOptions(url: string, { idleInTransactionMs = 10_000 } = {}): ClientConfig {
  return {
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    idle_in_transaction_session_timeout: idleInTransactionMs,
    options: serverOptions(SERVER_SETTINGS),
  };
}

/** Settings as the `options` of a connection. */
export function serverOptions(settings: Readonly<Record<string, number>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(" ");
}

/** A session of PostgreSQL; process ids are given out again. */
export interface Session {
  pid: number;
  startedAt: string;
}

export async function readSession(client: Client): Promise<Session> {
  const { rows } = await client.query<Session>(
    `select pid, backend_start::text as "startedAt" from pg_stat_activity where pid = pg_backend_pid()`,
  );
  return rows[0]!;
}

/**
 * Ends a session whose connection was given up without an answer. It may not know, and hold locks for long: one that waits
 * for the data of a COPY heeds no timeout.
 */
export async function terminateSession(client: Client, { pid, startedAt }: Session): Promise<void> {
  await client.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start::text = $2",
    [pid, startedAt],
  );
}

/** Ends a connection; where the other side doesn't answer, cuts it. */
export async function endClient(client: Client): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, END_MS);
  });
  await Promise.race([client.end().catch(() => {}), overdue]);
  clearTimeout(timer);
  // Not in the types: the connection beneath the client, whose socket `end` leaves to a server that may be gone.
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}
