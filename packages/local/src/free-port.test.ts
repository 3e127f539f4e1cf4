import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { findFreePort, onPort, PortInUseError } from "./free-port.ts";

test("finds a port one can listen on, outside the range of outgoing connections", async () => {
  const port = await findFreePort();
  expect(port).toBeLessThan(32_768);
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  expect((server.address() as AddressInfo).port).toBe(port);
  server.close();
});

test("gives no port twice: who asks for several listens on them later", async () => {
  const ports = await Promise.all(Array.from({ length: 400 }, () => findFreePort()));
  expect(new Set(ports).size).toBe(ports.length);
});

test("tries another free port when one is lost, but never another than the one asked for", async () => {
  const tried: number[] = [];
  const loseTwice = async (port: number) => {
    tried.push(port);
    if (tried.length <= 2) throw new PortInUseError("test", port);
    return port;
  };
  expect(await onPort(undefined, "127.0.0.1", loseTwice)).toBe(tried[2]);

  tried.length = 0;
  await expect(onPort(25_000, "127.0.0.1", loseTwice)).rejects.toThrow(PortInUseError);
  expect(tried).toEqual([25_000]);
});

test("does not hide other errors", async () => {
  const fail = () => Promise.reject(new Error("broken"));
  await expect(onPort(0, "127.0.0.1", fail)).rejects.toThrow("broken");
});
