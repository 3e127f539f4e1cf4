import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UsageError } from "../cli-error.ts";
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

const open = (names = files) => openPushState(names, path, async () => {});

test("goes on where it was saved, and forgets when all is done", async () => {
  const first = await open();
  expect(first.from).toBeUndefined();
  await first.advance({ input: 1, endBytes: 7 });
  await first.save();
  const second = await open();
  expect(second.from).toEqual({ input: 1, endBytes: 7 });
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
  const state = await openPushState(files, path, async () => {
    order.push(await readFile(path, "utf8").catch(() => "not yet"));
  });
  await state.advance({ input: 0, endBytes: 1 });
  await state.save();
  expect(order).toEqual(["not yet"]);
});

test("refuses other files, changed ones, and what is no state", async () => {
  const state = await open();
  await state.advance({ input: 0, endBytes: 1 });
  await state.save();
  await expect(open([files[0]!])).rejects.toThrow("is the state of a push of other files");
  await expect(open([...files].reverse())).rejects.toThrow("is the state of a push of other files");
  await utimes(files[1]!, 1, 1);
  await expect(open()).rejects.toThrow(`${files[1]} has changed since`);
  await writeFile(path, "{");
  await expect(open()).rejects.toThrow(UsageError);
  await expect(open([join(directory, "missing")])).rejects.toThrow("can't read");
});

test("has a path of its own for each list of files", () => {
  expect(defaultStatePath(["a", "b"])).toBe(defaultStatePath(["./a", "b"]));
  expect(new Set([["a"], ["b"], ["a", "b"], ["b", "a"]].map(defaultStatePath)).size).toBe(4);
});
