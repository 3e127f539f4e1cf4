import { expect, test } from "vitest";
import { CliError, UsageError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import { createMesh, type Mesh } from "./mesh.ts";
import { parseAdminAddresses } from "./mesh-address.ts";

const signal = new AbortController().signal;

function meshWith(admin: string, names: Record<string, string[]> = {}): Mesh {
  return createMesh(
    async () => ({ admin: { value: parseAdminAddresses(admin, "--admin"), from: "--admin" } }),
    signal,
    async (host) => {
      if (names[host] === undefined) throw new Error("ENOTFOUND");
      return names[host].map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    },
  );
}

async function processesOf(mesh: Mesh, services?: string[]): Promise<string[]> {
  return (await mesh.processes(services)).map(({ service, address }) => `${service} ${address}`);
}

test("a host name stands for a process per address, in the order in which a record passes them", async () => {
  const mesh = meshWith("store=store:9090,dedup=127.0.0.1:1", { store: ["10.0.0.2", "10.0.0.3"] });
  expect(await processesOf(mesh)).toEqual([
    "dedup 127.0.0.1:1",
    "store 10.0.0.2:9090",
    "store 10.0.0.3:9090",
  ]);
  expect(await processesOf(mesh, ["dedup"])).toEqual(["dedup 127.0.0.1:1"]);
  expect(await mesh.services()).toEqual(["store", "dedup"]);
});

test("replicas are looked up each time", async () => {
  const names = { store: ["10.0.0.2"] };
  const mesh = meshWith("store=store:9090", names);
  expect(await processesOf(mesh)).toEqual(["store 10.0.0.2:9090"]);
  names.store = ["10.0.0.2", "10.0.0.3"];
  expect(await processesOf(mesh)).toEqual(["store 10.0.0.2:9090", "store 10.0.0.3:9090"]);
});

test("the IPv4 and IPv6 addresses of a name are of the same processes", async () => {
  const names = { both: ["::1", "127.0.0.1"], six: ["fd00::2", "fd00::3"] };
  expect(await processesOf(meshWith("store=both:1", names))).toEqual(["store 127.0.0.1:1"]);
  expect(await processesOf(meshWith("store=six:1", names))).toEqual([
    "store [fd00::2]:1",
    "store [fd00::3]:1",
  ]);
});

test("an address given twice is one process", async () => {
  expect(await processesOf(meshWith("store=127.0.0.1:1,127.0.0.1:1"))).toEqual(["store 127.0.0.1:1"]);
});

test("a name that is not found is left to the call, which says so", async () => {
  expect(await processesOf(meshWith("store=nowhere:1"))).toEqual(["store nowhere:1"]);
});

test("asking for a service that is not known names those that are", async () => {
  const failure = meshWith("store=127.0.0.1:1").processes(["shop"]);
  await expect(failure).rejects.toBeInstanceOf(UsageError);
  await expect(failure).rejects.toThrow('"shop"; --admin has store');
});

test("where nothing is known, it says how to tell", async () => {
  const mesh = createMesh(async () => ({}), signal);
  const failure = await mesh.processes().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(CliError);
  expect(failure).toMatchObject({ exitCode: EXIT.unavailable });
  expect((failure as Error).message).toMatch(/npm start.*--admin.*CHOWHOUND_ADMIN/);
  expect(await mesh.services()).toEqual([]);
});
