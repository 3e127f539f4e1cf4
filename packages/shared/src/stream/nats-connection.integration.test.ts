import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, expect, inject, test, vi } from "vitest";
import { createLogger } from "../runtime/logger.ts";
import { ServiceStatus } from "../runtime/service-status.ts";
import { Meter } from "../telemetry/meter.ts";
import { connectNats } from "./nats-connection.ts";

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets) socket.destroy();
});

test("leaves a server that has fallen silent, also with more unsent than a connection takes", async () => {
  const nats = new URL(inject("natsUrl"));
  const pairs: [client: Socket, upstream: Socket][] = [];
  const proxy = createServer((client) => {
    const upstream = connect(Number(nats.port), nats.hostname);
    for (const socket of [client, upstream]) sockets.push(socket.on("error", () => {}));
    client.pipe(upstream);
    upstream.pipe(client);
    pairs.push([client, upstream]);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const meter = new Meter("store");
  const ending = new AbortController();
  const nc = await connectNats({
    urls: [`nats://127.0.0.1:${(proxy.address() as AddressInfo).port}`],
    name: "test",
    log: createLogger("test", "error"),
    status: new ServiceStatus(),
    meter,
    signal: ending.signal,
  });
  const [client, upstream] = pairs[0]!;
  client.unpipe(upstream).pause();
  upstream.unpipe(client);
  for (let i = 0; i < 64; i++) nc.publish("test.unsent", new Uint8Array(900_000));
  await vi.waitFor(() => expect(meter.total("chowhound.nats.reconnects")).toBe(1), 30_000);
  expect(await nc.rtt()).toBeGreaterThanOrEqual(0);
  ending.abort();
  await nc.close();
  proxy.close();
});
