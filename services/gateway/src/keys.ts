import { hash } from "node:crypto";
import { readFileSync, type Stats, unwatchFile, watchFile } from "node:fs";
import { TENANT_ID_PATTERN } from "@chowhound/shared/record/limits";
import type { Logger } from "@chowhound/shared/runtime/logger";

/**
 * Finds out who calls: the tenant of an authorization header, undefined where it proves nothing. Keys are one way;
 * another, such as signed tokens, is another function of this type, chosen in `service.ts`.
 */
export type Authenticator = (authorization: string | undefined) => string | undefined;

/** One key in the key file. The key itself is not in it. */
export interface KeyEntry {
  /** Names the key for people, so that it can be removed. */
  id: string;
  /** The tenant whose records the key may push. */
  tenant: string;
  /** SHA-256 of the whole key, 64 lower-case hexadecimal digits. */
  sha256: string;
}

/** Every problem of a key file, one a line. */
export class KeyFileError extends Error {
  override name = "KeyFileError";
  readonly problems: readonly string[];

  constructor(path: string, problems: readonly string[], cause?: unknown) {
    super(
      `the key file ${path} cannot be used:\n${problems.map((problem) => `  ${problem}`).join("\n")}`,
      cause === undefined ? undefined : { cause },
    );
    this.problems = problems;
  }
}

/** What the file stores of a key. */
export function hashKey(key: string): string {
  return hash("sha256", key, "hex");
}

/** Reads and checks a key file. Throws KeyFileError. */
export function readKeyFile(path: string): KeyEntry[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const problem = `${(error as Error).message}; make it with create-key`;
    throw new KeyFileError(path, [problem], error);
  }
  return parseKeyFile(path, text);
}

/** Checks the text of a key file: `{"keys": [{"id", "tenant", "sha256"}]}`. Throws KeyFileError naming all problems. */
export function parseKeyFile(path: string, text: string): KeyEntry[] {
  let file: { keys?: unknown } | null;
  try {
    file = JSON.parse(text);
  } catch (error) {
    // The parser's message quotes the file.
    throw new KeyFileError(path, ["it is not JSON"], error instanceof SyntaxError ? undefined : error);
  }
  const entries = file?.keys;
  if (!Array.isArray(entries)) throw new KeyFileError(path, ['it is not an object with a list "keys"']);
  const ids = new Map<unknown, number>();
  const hashes = new Map<unknown, number>();
  const problems: string[] = [];
  entries.forEach((entry: Partial<Record<keyof KeyEntry, unknown>> | null, index) => {
    const { id, tenant, sha256 } = entry ?? {};
    const at = `keys[${index}]`;
    if (typeof id !== "string" || id === "") problems.push(`${at}.id is not a text`);
    else if (ids.has(id)) problems.push(`${at}.id is that of keys[${ids.get(id)}]`);
    if (typeof tenant !== "string" || !TENANT_ID_PATTERN.test(tenant))
      problems.push(`${at}.tenant does not match ${TENANT_ID_PATTERN.source}`);
    if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256))
      problems.push(`${at}.sha256 is not 64 lower-case hexadecimal digits`);
    else if (hashes.has(sha256)) problems.push(`${at}.sha256 is that of keys[${hashes.get(sha256)}]`);
    if (!ids.has(id)) ids.set(id, index);
    if (!hashes.has(sha256)) hashes.set(sha256, index);
  });
  if (problems.length > 0) throw new KeyFileError(path, problems);
  return entries as KeyEntry[];
}

/** One key can be in several headers, with more or less space before it. */
const MAX_KNOWN = 1_000;
const BEARER = /^bearer +(\S+)$/i;

/** Knows keys by their hashes. Nobody learns from it, or from how long it takes, whether a key nearly exists. */
export function authenticateByKey(entries: readonly KeyEntry[]): Authenticator {
  const tenants = new Map(entries.map(({ sha256, tenant }) => [sha256, tenant]));
  /** Headers that were right, as they come with every call. Their keys are in memory anyway: connections have them in their tables. */
  const known = new Map<string, string>();
  return (authorization) => {
    if (authorization === undefined) return undefined;
    const remembered = known.get(authorization);
    if (remembered !== undefined) return remembered;
    const key = BEARER.exec(authorization)?.[1];
    const tenant = key === undefined ? undefined : tenants.get(hashKey(key));
    if (tenant !== undefined) {
      if (known.size === MAX_KNOWN) known.clear();
      known.set(authorization, tenant);
    }
    return tenant;
  };
}

/** The keys of a file, which are read again when it changes. */
export interface KeyRing {
  authenticate: Authenticator;
  close(): void;
}

/**
 * Loads a key file and follows it. A file that is broken later leaves the keys as they were and is logged.
 * Throws KeyFileError where it is broken at the start.
 */
export function openKeyRing(path: string, log: Logger, pollMs = 1_000): KeyRing {
  let authenticate = authenticateByKey(readKeyFile(path));
  const reload = (now: Stats, before: Stats): void => {
    if (now.mtimeMs === before.mtimeMs && now.size === before.size && now.ino === before.ino) return;
    try {
      const entries = readKeyFile(path);
      authenticate = authenticateByKey(entries);
      log.info({ path, keys: entries.length }, "read the keys again");
    } catch (error) {
      log.error({ why: (error as Error).message }, "the key file is broken; the keys stay as they were");
    }
  };
  watchFile(path, { interval: pollMs, persistent: false }, reload);
  return {
    authenticate: (authorization) => authenticate(authorization),
    close: () => unwatchFile(path, reload),
  };
}
