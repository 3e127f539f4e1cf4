import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

/** The root of this checkout. */
export const repositoryRoot = resolve(import.meta.dirname, "../../..");

const minimumMajor = 24;

/**
 * A Node that runs TypeScript as it is: this process's own, or the one npm has installed with the project.
 *
 * @throws {Error} if there is neither
 */
export function findNode(): string {
  if (Number.parseInt(process.versions.node, 10) >= minimumMajor) return process.execPath;
  const installed = join(
    repositoryRoot,
    "node_modules",
    ".bin",
    process.platform === "win32" ? "node.cmd" : "node",
  );
  if (existsSync(installed)) return installed;
  throw new Error(
    `Chowhound needs Node ${minimumMajor} or newer: this is ${process.version}, and there is none at ${installed}; ` +
      "run `npm install` without --omit=optional, or install Node from https://nodejs.org",
  );
}
