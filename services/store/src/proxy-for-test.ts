import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy before a server, for tests of connections that are slow or break. */
export interface TestProxy {
  /** That of the server, by way of the proxy. */
  url: string;
  /** From now on what clients send takes its time: some 10 MB/s. */
  slowDown(): void;
  /** Resets the connections there are; new ones pass. */
  cut(): void;
  close(): Promise<void>;
}

const PAUSE_MS = 5;

export async function openTestProxy(serverUrl: string): Promise<TestProxy> {
  const url = new URL(serverUrl);
  const target = { host: url.hostname, port: Number(url.port) };
  const sockets = new Set<Socket>();
  let isSlow = false;
  const server = createServer((client) => {
    const upstream = connect(target);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    upstream.pipe(client);
    client.on("data", (chunk) => {
      upstream.write(chunk);
      if (!isSlow) return;
      client.pause();
      setTimeout(() => client.resume(), PAUSE_MS);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    url: url.href,
    slowDown: () => {
      isSlow = true;
    },
    cut,
    close: async () => {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}
