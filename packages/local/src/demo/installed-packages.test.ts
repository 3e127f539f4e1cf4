import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findInstalledPackages } from "./installed-packages.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "chowhound-packages-"));
});
afterEach(() => rm(root, { recursive: true }));

async function install(path: string, manifest: string, readme?: string): Promise<void> {
  const directory = join(root, "node_modules", path);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "package.json"), manifest);
  await utimes(join(directory, "package.json"), 1_000, 1_000);
  if (readme !== undefined) await writeFile(join(directory, "readme.md"), readme);
}

test("finds packages, scoped and nested ones, and nothing else", async () => {
  await install("b", '{"name":"b","version":"1.0.0"}', "b\0!");
  await install("b/node_modules/a", '{"name":"a","version":"0.1.0"}');
  await install("@scope/a", '{"name":"@scope/a","version":"2.0.0"}');
  await install("b/dist", '{"type":"module"}');
  await install("broken", "{");
  await install("no-version", '{"name":"x"}');
  await install(".cache", '{"name":"x","version":"1.0.0"}');
  await symlink(join(root, "node_modules", "b"), join(root, "node_modules", "link"));

  expect(await findInstalledPackages(root)).toEqual([
    {
      path: "node_modules/@scope/a",
      manifest: { name: "@scope/a", version: "2.0.0" },
      readme: "",
      changedMs: 1_000_000,
    },
    { path: "node_modules/b", manifest: { name: "b", version: "1.0.0" }, readme: "b!", changedMs: 1_000_000 },
    {
      path: "node_modules/b/node_modules/a",
      manifest: { name: "a", version: "0.1.0" },
      readme: "",
      changedMs: 1_000_000,
    },
  ]);
});
