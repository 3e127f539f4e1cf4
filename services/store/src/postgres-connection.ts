import type { Client, ClientConfig } from "pg";

const END_MS = 1_000;

/** What all connections of the store have: they notice within seconds that the other side is gone. */
export function connectionOptions(url: string): ClientConfig {
  return {
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
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
