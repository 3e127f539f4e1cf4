import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  findNatsServer,
  firstNatsServer,
  type NatsOrigin,
  NatsServerNotFoundError,
  natsOrigins,
  parseOrigins,
} from "./nats-server-binary.ts";

let directory: string;
let recent: string;
let old: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "chowhound-nats-binary-"));
  recent = await fakeServer("recent", "2.14.5");
  old = await fakeServer("old", "2.9.10");
});
afterAll(() => rm(directory, { recursive: true }));

test("looks everywhere, in the documented order, unless told otherwise", () => {
  expect(parseOrigins(undefined)).toEqual(["path", "cache", "release", "go", "debian"]);
  expect(parseOrigins("")).toEqual(natsOrigins);
  expect(parseOrigins("debian, cache")).toEqual(["cache", "debian"]);
  expect(() => parseOrigins("cache,brew")).toThrow("unknown brew");
});

test("takes the first that works, and says why the earlier ones did not", async () => {
  const { attempt, attempted } = attempts({ cache: recent, debian: old });
  const log: string[] = [];
  expect(await firstNatsServer(natsOrigins, attempt, (line) => log.push(line))).toEqual({
    path: recent,
    version: "2.14.5",
    origin: "cache",
    crashSafe: true,
  });
  expect(attempted).toEqual(["path", "cache"]);
  expect(log).toEqual(["no nats-server from path: none here"]);
});

test("takes an old server from nowhere but the last resort", async () => {
  const { attempt, attempted } = attempts({ path: old, cache: old, debian: old });
  const log: string[] = [];
  const binary = await firstNatsServer(natsOrigins, attempt, (line) => log.push(line));
  expect(binary).toEqual({ path: old, version: "2.9.10", origin: "debian", crashSafe: false });
  expect(attempted).toEqual(natsOrigins);
  expect(log[0]).toBe(`no nats-server from path: ${old} is 2.9.10, older than 2.11`);
});

test("without any, tells what was tried and what to do", async () => {
  const failure = firstNatsServer(["path", "go"], attempts({}).attempt, () => {});
  await expect(failure).rejects.toThrow(NatsServerNotFoundError);
  await expect(failure).rejects.toThrow(/path: none here\n\s+go: none here\n[\s\S]*CHOWHOUND_NATS_SERVER=/);
});

test("a server named outright is used, with a warning if it is old, or is an error", async () => {
  const log: string[] = [];
  const env = { CHOWHOUND_NATS_SERVER: old };
  const binary = await findNatsServer({ env, log: (line) => log.push(line) });
  expect(binary).toMatchObject({ path: old, origin: "env", crashSafe: false });
  expect(log).toEqual([expect.stringContaining("a crash of the server can lose or stall data")]);

  const missing = { CHOWHOUND_NATS_SERVER: join(directory, "missing") };
  await expect(findNatsServer({ env: missing, log: () => {} })).rejects.toThrow(NatsServerNotFoundError);
});

/** A program that knows its version and nothing else. */
async function fakeServer(name: string, version: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  await chmod(path, 0o755);
  return path;
}

function attempts(found: Partial<Record<NatsOrigin, string>>) {
  const attempted: NatsOrigin[] = [];
  const attempt = async (origin: NatsOrigin) => {
    attempted.push(origin);
    const path = found[origin];
    if (path === undefined) throw new Error("none\nhere");
    return path;
  };
  return { attempt, attempted };
}
