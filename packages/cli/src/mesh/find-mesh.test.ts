import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { UsageError } from "../cli-error.ts";
import { findMesh } from "./find-mesh.ts";

const endpoints = {
  grpc: "127.0.0.1:1",
  key: "file-key",
  admin: { gateway: "127.0.0.1:2", store: "127.0.0.1:3", "store-2": "127.0.0.1:4" },
};

let checkout: string;
let below: string;
let elsewhere: string;
let endpointsFile: string;

beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), "chow-find-mesh-"));
  checkout = join(directory, "checkout");
  below = join(checkout, "docs", "images");
  elsewhere = join(directory, "elsewhere");
  endpointsFile = join(checkout, ".chowhound", "endpoints.json");
  await Promise.all(
    [below, elsewhere, join(checkout, ".chowhound")].map((path) => mkdir(path, { recursive: true })),
  );
  await writeFile(endpointsFile, JSON.stringify(endpoints));
  await writeFile(join(elsewhere, "key"), "kept-key\n");
  await writeFile(join(elsewhere, "other.json"), JSON.stringify({ ...endpoints, grpc: "127.0.0.1:9" }));
});

afterAll(() => rm(join(checkout, ".."), { recursive: true }));

test("finds the mesh of the checkout from any directory below it", async () => {
  expect(await findMesh({}, {}, below)).toEqual({
    gateway: { value: "http://127.0.0.1:1", from: endpointsFile },
    key: { value: "file-key", from: endpointsFile },
    admin: {
      from: endpointsFile,
      value: [
        { service: "gateway", url: "http://127.0.0.1:2" },
        { service: "store", url: "http://127.0.0.1:3" },
        { service: "store", url: "http://127.0.0.1:4" },
      ],
    },
  });
});

test("knows nothing where there is nothing", async () => {
  expect(await findMesh({}, {}, elsewhere)).toEqual({});
});

test("flags come before --mesh, and that before the environment", async () => {
  const env = { CHOWHOUND_GATEWAY: "env:1", CHOWHOUND_KEY: "env-key", CHOWHOUND_ADMIN: "store=env:2" };
  const gatewayOf = async (...args: Parameters<typeof findMesh>) => (await findMesh(...args)).gateway?.value;
  expect(await gatewayOf({ gateway: "flag:1", mesh: "other.json" }, env, elsewhere)).toBe("http://flag:1");
  expect(await gatewayOf({ mesh: "other.json" }, env, elsewhere)).toBe("http://127.0.0.1:9");
  expect(await gatewayOf({}, env, elsewhere)).toBe("http://env:1");
});

test("each item comes from the first that has it", async () => {
  const env = { CHOWHOUND_KEY: "env-key", CHOWHOUND_ADMIN: "store=env:2" };
  const mesh = await findMesh({ gateway: "flag:1" }, env, elsewhere);
  expect(mesh.gateway).toEqual({ value: "http://flag:1", from: "--gateway" });
  expect(mesh.key).toEqual({ value: "env-key", from: "CHOWHOUND_KEY" });
  expect(mesh.admin?.from).toBe("CHOWHOUND_ADMIN");
});

test("the key of the checkout's mesh goes to no other gateway", async () => {
  expect(await findMesh({ gateway: "example.com:1" }, {}, below)).not.toHaveProperty("key");
  expect(await findMesh({}, { CHOWHOUND_GATEWAY: "example.com:1" }, below)).not.toHaveProperty("key");
  expect(await findMesh({ admin: ["store=example.com:1"] }, {}, below)).not.toHaveProperty("gateway");
});

test("a key alone goes with the mesh of the checkout", async () => {
  const mesh = await findMesh({ keyFile: join(elsewhere, "key") }, {}, below);
  expect(mesh.gateway?.value).toBe("http://127.0.0.1:1");
  expect(mesh.key).toEqual({ value: "kept-key", from: "--key-file" });
});

test("the key itself comes before a file with a key", async () => {
  const keyFile = join(elsewhere, "key");
  expect((await findMesh({ key: "flag-key", keyFile }, {}, elsewhere)).key?.value).toBe("flag-key");
  const env = { CHOWHOUND_KEY: "env-key", CHOWHOUND_KEY_FILE: keyFile };
  expect((await findMesh({}, env, elsewhere)).key?.value).toBe("env-key");
  expect((await findMesh({}, { CHOWHOUND_KEY_FILE: keyFile }, elsewhere)).key?.value).toBe("kept-key");
});

test.each([
  [{ mesh: "missing.json" }, /can't read .*missing\.json/],
  [{ mesh: "key" }, /does not hold the endpoints of a mesh/],
  [{ keyFile: "missing" }, /^--key-file: can't read the key/],
  [{ key: "two words" }, /^--key: this is not a key/],
  [{ admin: ["store"] }, /^--admin: "store" names no service|is no address/],
])("%j is a mistake", async (flags, message) => {
  await expect(findMesh(flags, {}, elsewhere)).rejects.toThrow(message);
  await expect(findMesh(flags, {}, elsewhere)).rejects.toBeInstanceOf(UsageError);
});
