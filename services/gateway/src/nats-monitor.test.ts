import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { askMonitor } from "./nats-monitor.ts";

/** Asks a server that answers as told. What real ones answer: accept-durability.integration.test.ts. */
async function ask(listener: RequestListener, path = "", credentials = "") {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return await askMonitor(`http://${credentials}127.0.0.1:${port}${path}`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

const telling =
  (body: string): RequestListener =>
  (_request, response) =>
    response.end(body);

test("asks below the path, with user and password", async () => {
  const seen: unknown[] = [];
  const listener: RequestListener = ({ url, headers }, response) => {
    seen.push(url, headers.authorization);
    response.end('{"server_name": "n1", "jetstream": {"config": {"sync_always": true}}}');
  };
  const answer = await ask(listener, "/nats", "me:p%40ss@");
  expect(answer).toEqual({ server: "n1", sync: { kind: "always" } });
  expect(seen).toEqual(["/nats/varz", `Basic ${Buffer.from("me:p@ss").toString("base64")}`]);
});

test("a server that doesn't tell is not known, not safe", async () => {
  for (const more of ["", ', "jetstream": {}', ', "jetstream": {"config": {"sync_always": "yes"}}'])
    expect((await ask(telling(`{"server_name": "n1"${more}}`))).sync.kind).toBe("unknown");
});

test.each(["", "<html>", "null", "[]", '{"server_name": 1}'])(
  "%j is no answer of a NATS server",
  async (body) => {
    await expect(ask(telling(body))).rejects.toThrow("none of a NATS server");
  },
);

test("says why there is no answer", async () => {
  await expect(askMonitor("http://127.0.0.1:1")).rejects.toThrow(/ECONNREFUSED|bad port/);
  const refusing: RequestListener = (_request, response) => response.writeHead(401).end();
  await expect(ask(refusing)).rejects.toThrow("401");
});
