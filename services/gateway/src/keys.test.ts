import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@chowhound/shared/runtime/logger";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createKey } from "./create-key.ts";
import { authenticateByKey, hashKey, KeyFileError, openKeyRing, parseKeyFile, readKeyFile } from "./keys.ts";

const SHA = "a".repeat(64);

function problemsOf(text: string): readonly string[] {
  try {
    parseKeyFile("keys.json", text);
  } catch (error) {
    if (error instanceof KeyFileError) return error.problems;
    throw error;
  }
  return [];
}

describe("parseKeyFile", () => {
  it("takes a good file", () => {
    const keys = [{ id: "a", tenant: "acme", sha256: SHA }];
    expect(parseKeyFile("keys.json", JSON.stringify({ keys }))).toEqual(keys);
  });

  it("reports all problems at once, each with its entry", () => {
    const keys = [
      { id: "a", tenant: "acme", sha256: SHA },
      { id: "", tenant: "Acme", sha256: "abc" },
      null,
      { id: "a", tenant: "acme", sha256: SHA },
    ];
    expect(problemsOf(JSON.stringify({ keys })).map((problem) => problem.split(" is ")[0])).toEqual([
      "keys[1].id",
      "keys[1].tenant does not match ^[a-z0-9][a-z0-9_-]{0,62}$",
      "keys[1].sha256",
      "keys[2].id",
      "keys[2].tenant does not match ^[a-z0-9][a-z0-9_-]{0,62}$",
      "keys[2].sha256",
      "keys[3].id",
      "keys[3].sha256",
    ]);
  });

  it.each(["", "[]", "null", '{"keys": {}}'])("refuses %j", (text) => {
    expect(problemsOf(text)).toHaveLength(1);
  });
});

describe("authenticateByKey", () => {
  const authenticate = authenticateByKey([{ id: "a", tenant: "acme", sha256: hashKey("chow_secret") }]);

  it.each(["Bearer chow_secret", "bearer chow_secret"])("knows %s", (header) => {
    expect(authenticate(header)).toBe("acme");
  });

  it.each([
    undefined,
    "",
    "chow_secret",
    "Basic chow_secret",
    "Bearer",
    "Bearer ",
    "Bearer chow_secre",
    "Bearer chow_secret x",
    `Bearer ${hashKey("chow_secret")}`,
  ])("doesn't know %s", (header) => {
    expect(authenticate(header)).toBeUndefined();
  });
});

describe("a key file", () => {
  let directory: string;
  let file: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "chowhound-keys-"));
    file = join(directory, "keys.json");
  });
  afterEach(() => rm(directory, { recursive: true }));

  it("is made by createKey, for its owner alone, without the key in it", async () => {
    const key = await createKey({ tenant: "acme", file, id: "laptop" });
    expect(key).toMatch(/^chow_[\w-]{43}$/);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(readKeyFile(file)).toEqual([{ id: "laptop", tenant: "acme", sha256: hashKey(key) }]);
  });

  it("keeps its keys when one is added, and refuses a second one of the same id", async () => {
    const first = await createKey({ tenant: "acme", file });
    const second = await createKey({ tenant: "umbrella", file, id: "two" });
    const authenticate = authenticateByKey(readKeyFile(file));
    expect([first, second].map((key) => authenticate(`Bearer ${key}`))).toEqual(["acme", "umbrella"]);
    await expect(createKey({ tenant: "acme", file, id: "two" })).rejects.toThrow("already has");
    await expect(createKey({ tenant: "Not OK", file })).rejects.toThrow("lower-case letters");
  });

  it("never loses a key of two that are made at the same time", async () => {
    const made = await Promise.allSettled([1, 2, 3].map(() => createKey({ tenant: "acme", file })));
    const succeeded = made.filter((result) => result.status === "fulfilled");
    expect(succeeded.length).toBeGreaterThan(0);
    expect(readKeyFile(file)).toHaveLength(succeeded.length);
  });

  it("is read again when it changes, and kept when it breaks", async () => {
    const first = await createKey({ tenant: "acme", file });
    const log = createLogger("test", "error");
    const logged = vi.spyOn(log, "error").mockImplementation(() => {});
    const ring = openKeyRing(file, log, 20);
    try {
      const second = await createKey({ tenant: "umbrella", file });
      await vi.waitFor(() => expect(ring.authenticate(`Bearer ${second}`)).toBe("umbrella"), 2_000);
      await writeFile(file, "{");
      await vi.waitFor(() => expect(logged).toHaveBeenCalled(), 2_000);
      expect(ring.authenticate(`Bearer ${first}`)).toBe("acme");
      await writeFile(file, '{"keys": []}');
      await vi.waitFor(() => expect(ring.authenticate(`Bearer ${first}`)).toBeUndefined(), 2_000);
    } finally {
      ring.close();
    }
  });

  it("must be there at the start", () => {
    expect(() => openKeyRing(file, createLogger("test", "error"))).toThrow("create-key");
  });
});
