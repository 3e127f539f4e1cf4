import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FaultProxy, type Moment } from "./fault-proxy.ts";
import { natsProtocol } from "./nats-frames.ts";

const beforePing: Moment = {
  what: "before a ping",
  server: "nats",
  direction: "toServer",
  matches: ({ label }) => label === "PING",
};

let server: Server;
let heard: string;
let atServer: Socket[];
let proxy: FaultProxy;
let client: Socket;
let answered: string;

beforeEach(async () => {
  heard = answered = "";
  atServer = [];
  server = createServer((socket) => {
    atServer.push(socket);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      heard += chunk;
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy = new FaultProxy(natsProtocol);
  await proxy.listen();
  client = await connectClient();
});
afterEach(async () => {
  client.destroy();
  await proxy.close();
  for (const socket of atServer) socket.destroy();
  server.close();
});

async function connectClient(): Promise<Socket> {
  const connections = atServer.length;
  const port = proxy.leadTo((server.address() as AddressInfo).port);
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    answered += chunk;
  });
  await once(socket, "connect");
  await vi.waitFor(() => expect(atServer.length).toBeGreaterThan(connections));
  return socket;
}

test("both directions pass", async () => {
  client.write("PING\r\n");
  await vi.waitFor(() => expect(heard).toBe("PING\r\n"));
  atServer[0]!.write("PONG\r\n");
  await vi.waitFor(() => expect(answered).toBe("PONG\r\n"));
});

test("a conversation is held right before a message; released, it goes on in order", async () => {
  const held = proxy.hold(beforePing);
  client.write("PUB a 1\r\nx\r\nPING\r\nPUB a 1\r\ny\r\n");
  await held.reached;
  await vi.waitFor(() => expect(heard).toBe("PUB a 1\r\nx\r\n"));
  atServer[0]!.write("PONG\r\n");
  await vi.waitFor(() => expect(answered).toBe("PONG\r\n"));
  held.release();
  await vi.waitFor(() => expect(heard).toBe("PUB a 1\r\nx\r\nPING\r\nPUB a 1\r\ny\r\n"));
});

test("what is held when the client goes is never sent, and the server hears that it went", async () => {
  const held = proxy.hold(beforePing);
  client.write("PING\r\n");
  await held.reached;
  const gone = once(atServer[0]!, "close");
  client.destroy();
  await gone;
  held.release();
  expect(heard).toBe("");
});

test("cut: the client's connection is reset, a new one passes", async () => {
  const closed = new Promise((resolve) => client.once("close", resolve));
  proxy.cut();
  await closed;
  client = await connectClient();
  client.write("PING\r\n");
  await vi.waitFor(() => expect(heard).toBe("PING\r\n"));
});

test("half open: nothing arrives and nobody is told; a new connection passes", async () => {
  proxy.halfOpen("toServer");
  client.write("PING\r\n");
  atServer[0]!.write("PONG\r\n");
  await vi.waitFor(() => expect(answered).toBe("PONG\r\n"));
  expect(heard).toBe("");
  expect(client.closed).toBe(false);
  // Nor does the server learn that the client has given up.
  client.destroy();
  await sleep(100);
  expect(atServer[0]!.closed).toBe(false);
  client = await connectClient();
  client.write("PING\r\n");
  await vi.waitFor(() => expect(heard).toBe("PING\r\n"));
});
