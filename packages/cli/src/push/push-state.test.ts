import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UsageError } from "../cli-error.ts";
import type { PushIdentity } from "./push-identity.ts";
import { defaultStatePath, openPushState } from "./push-state.ts";

let directory: string;
let files: string[];
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "chow-push-"));
  files = [join(directory, "a.ndjson"), join(directory, "b.ndjson")];
  for (const file of files) await writeFile(file, `${file}\n`);
  path = join(directory, ".chow-push", "state.json");
});
afterEach(() => rm(directory, { recursive: true }));

const COUNTS = {
  accepted: 3,
  rejectedByReason: { missing_time: 1 },
  firstReceiptId: "a",
  lastReceiptId: "b",
};
const PUSH = { "the gateway": "http://a:1", "--lang": "en" };
const open = (names = files, push: PushIdentity = PUSH) =>
  openPushState(names, { path, push, beforeSave: async () => {} });

test("goes on where it was saved, and forgets when all is done", async () => {
  const first = await open();
  expect(first.from).toBeUndefined();
  expect(first.counts).toBeUndefined();
  await first.advance({ input: 1, endBytes: 7 }, COUNTS);
  await first.save();
  const second = await open();
  expect(second.from).toEqual({ input: 1, endBytes: 7 });
  expect(second.counts).toEqual(COUNTS);
  await second.save();
  expect((await open()).from).toEqual({ input: 1, endBytes: 7 });
  await second.remove();
  expect((await open()).from).toBeUndefined();
  expect(await readdir(join(directory, ".chow-push"))).toEqual([]);
});

test("leaves no file behind where nothing was answered", async () => {
  await (await open()).save();
  expect(await readdir(directory)).toEqual(["a.ndjson", "b.ndjson"]);
});

test("writes what belongs before it first", async () => {
  const order: string[] = [];
  const beforeSave = async (): Promise<void> => {
    order.push(await readFile(path, "utf8").catch(() => "not yet"));
  };
  const state = await openPushState(files, { path, push: PUSH, beforeSave });
  await state.advance({ input: 0, endBytes: 1 }, COUNTS);
  await state.save();
  expect(order).toEqual(["not yet"]);
});

test("refuses other files, changed ones, and what is no state", async () => {
  const state = await open();
  await state.advance({ input: 0, endBytes: 1 }, COUNTS);
  await state.save();
  await expect(open([files[0]!])).rejects.toThrow("is the state of a push of other files");
  await expect(open([...files].reverse())).rejects.toThrow("is the state of a push of other files");
  await utimes(files[1]!, 1, 1);
  await expect(open()).rejects.toThrow(`${files[1]} has changed since`);
  await writeFile(path, "{");
  await expect(open()).rejects.toThrow(UsageError);
  await expect(open([join(directory, "missing")])).rejects.toThrow("can't read");
});

test("refuses to go on with another push, and names what differs and what to do", async () => {
  const state = await open();
  await state.advance({ input: 0, endBytes: 1 }, COUNTS);
  await state.save();
  const other = { "the gateway": "http://b:1", "--source-type": "note" };
  const error: unknown = await open(files, other).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(UsageError);
  expect((error as Error).message.split("\n")).toEqual([
    `${path} is the state of another push of these files:`,
    '  the gateway was "http://a:1" and is "http://b:1"',
    '  --lang was "en" and is not given',
    '  --source-type was not given and is "note"',
    `push as then, give this push a --state of its own, or remove ${path} to push from the start: what is in already is not landed twice`,
  ]);
  expect((await open()).from).toEqual({ input: 0, endBytes: 1 });
});

test("has a path of its own for each list of files", () => {
  expect(defaultStatePath(["a", "b"])).toBe(defaultStatePath(["./a", "b"]));
  expect(new Set([["a"], ["b"], ["a", "b"], ["b", "a"]].map(defaultStatePath)).size).toBe(4);
});
