import type { Dirent } from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";

/** A package that npm has installed. */
export interface InstalledPackage {
  /** Of its directory, relative to the checkout: the same package may be installed several times. */
  path: string;
  /** package.json as it is. */
  manifest: JsonObject;
  /** Empty where there is none. */
  readme: string;
  /** When package.json was last changed, in milliseconds since 1970. */
  changedMs: number;
}

const maxReadmeBytes = 256 * 1024;
const maxManifestBytes = 128 * 1024;

/** All packages below the `node_modules` of a checkout, with scopes and nested ones, in a fixed order. */
export async function findInstalledPackages(root: string): Promise<InstalledPackage[]> {
  const found: InstalledPackage[] = [];
  await visitModules(join(root, "node_modules"), root, found);
  return found;
}

async function visitModules(directory: string, root: string, found: InstalledPackage[]): Promise<void> {
  for (const entry of await directories(directory)) {
    const path = join(directory, entry.name);
    if (entry.name.startsWith("@")) {
      await visitModules(path, root, found);
      continue;
    }
    const installed = await readPackage(path, root);
    if (installed !== undefined) found.push(installed);
    await visitModules(join(path, "node_modules"), root, found);
  }
}

/** No links: workspaces are no packages that npm has fetched. */
async function directories(path: string): Promise<Dirent[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function readPackage(path: string, root: string): Promise<InstalledPackage | undefined> {
  const file = join(path, "package.json");
  const info = await stat(file).catch(() => undefined);
  if (info === undefined || info.size > maxManifestBytes) return undefined;
  const manifest = parseManifest(await readFile(file, "utf8"));
  if (manifest === undefined) return undefined;
  return {
    path: relative(root, path),
    manifest,
    readme: await readReadme(path),
    changedMs: Math.floor(Math.min(info.mtimeMs, Date.now())),
  };
}

/** Undefined for what is no package's manifest: tests bring such files along, also broken ones. */
function parseManifest(text: string): JsonObject | undefined {
  try {
    const manifest: unknown = JSON.parse(text);
    const isManifest =
      typeof manifest === "object" && manifest !== null && "name" in manifest && "version" in manifest;
    return isManifest ? (manifest as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

/** Its beginning where it is very long. */
async function readReadme(path: string): Promise<string> {
  const entries = await readdir(path, { withFileTypes: true });
  const entry = entries.find((found) => found.isFile() && /^readme(\.(md|markdown|txt))?$/i.test(found.name));
  if (entry === undefined) return "";
  await using file = await open(join(path, entry.name));
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(maxReadmeBytes) });
  // PostgreSQL's text has no U+0000.
  return buffer.toString("utf8", 0, bytesRead).replaceAll("\0", "");
}
