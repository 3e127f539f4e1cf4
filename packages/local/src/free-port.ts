import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** The port asked for belongs to somebody else. */
export class PortInUseError extends Error {
  override readonly name = "PortInUseError";
  readonly port: number;
  readonly what: string;

  constructor(what: string, port: number, options?: ErrorOptions) {
    super(`${what} cannot listen on port ${port}: it is in use`, options);
    this.port = port;
    this.what = what;
  }
}

// Below what Linux and macOS give to outgoing connections. A server that is killed and comes back must find its
// port free; and a client that keeps dialling a dead port inside that range may end up connected to itself.
const firstPort = 20_000;
const endPort = 32_000;

/** What this process was given last: it may not listen there yet. */
const given: number[] = [];
const maxGiven = 1_000;

/**
 * A TCP port on which nothing listens on `host`, and another one each time. Another process may take it in the
 * meantime.
 */
export async function findFreePort(host = "127.0.0.1"): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(firstPort, endPort);
    if (given.includes(port)) continue;
    given.push(port);
    if (given.length > maxGiven) given.shift();
    if (await isFree(host, port)) return port;
  }
  throw new Error(`no free port between ${firstPort} and ${endPort} on ${host}`);
}

/**
 * Starts something on the port asked for; or, with none (or 0), on a free one, trying another if it is lost
 * to somebody quicker.
 *
 * @throws {PortInUseError} if the port asked for is taken
 */
export async function onPort<T>(
  port: number | undefined,
  host: string,
  start: (port: number) => Promise<T>,
): Promise<T> {
  if (port) return start(port);
  for (let attemptsLeft = 5; ; attemptsLeft--) {
    try {
      return await start(await findFreePort(host));
    } catch (error) {
      if (!(error instanceof PortInUseError) || attemptsLeft === 1) throw error;
    }
  }
}

/** Whether nothing listens there. */
export function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
