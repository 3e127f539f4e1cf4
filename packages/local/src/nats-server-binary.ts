import { access, chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { unpackDebianNats } from "./nats-debian-package.ts";
import { goInstallNats } from "./nats-go-install.ts";
import { natsRelease, natsReleaseVersion, unpackNatsRelease } from "./nats-release.ts";
import { isAtLeast, parseNatsVersion } from "./nats-version.ts";
import { findCacheDirectory } from "./own-directory.ts";
import { findOnPath, runCommand } from "./run-command.ts";

type Environment = Readonly<Record<string, string | undefined>>;
type Log = (line: string) => void;

/** Where a nats-server is looked for, in this order. */
export const natsOrigins = ["path", "cache", "release", "go", "debian"] as const;
export type NatsOrigin = (typeof natsOrigins)[number];

export interface NatsServerBinary {
  path: string;
  /** As in "2.14.5". */
  version: string;
  /** `env` is CHOWHOUND_NATS_SERVER. */
  origin: NatsOrigin | "env";
  /** Whether it keeps what it has acknowledged through a crash. */
  crashSafe: boolean;
}

/** There is no nats-server, and none could be fetched; the message says what to do about it. */
export class NatsServerNotFoundError extends Error {
  override readonly name = "NatsServerNotFoundError";
}

// Older ones lose or stall the messages of work-queue streams when they crash.
const minimumVersion = "2.11";

/**
 * Finds a nats-server: the one CHOWHOUND_NATS_SERVER names; else a recent one on PATH; else one fetched earlier or
 * now, with the old one of Debian as the last resort. CHOWHOUND_NATS_ORIGINS (`path,cache,release,go,debian`)
 * restricts where to look. `log` gets a line for each place that has none.
 *
 * @throws {NatsServerNotFoundError}
 */
export async function findNatsServer(options: {
  log: Log;
  env?: Environment;
  /** Aborted: looks no further. */
  signal?: AbortSignal | undefined;
}): Promise<NatsServerBinary> {
  const { log, env = process.env, signal = new AbortController().signal } = options;
  const binary = env.CHOWHOUND_NATS_SERVER
    ? await explicitNatsServer(env.CHOWHOUND_NATS_SERVER)
    : await firstNatsServer(
        parseOrigins(env.CHOWHOUND_NATS_ORIGINS),
        (origin) => attempts[origin](env, log, signal),
        log,
        signal,
      );
  if (!binary.crashSafe) {
    log(
      `warning: nats-server ${binary.version} (${binary.path}) is old: a crash of the server can lose or stall data; ` +
        `install nats-server ${minimumVersion} or newer`,
    );
  }
  return binary;
}

/** The origins in CHOWHOUND_NATS_ORIGINS, always in the order of {@link natsOrigins}. */
export function parseOrigins(list: string | undefined): NatsOrigin[] {
  if (!list) return [...natsOrigins];
  const names = list.split(",").map((name) => name.trim());
  const unknown = names.filter((name) => !natsOrigins.some((origin) => origin === name));
  if (unknown.length > 0) {
    throw new Error(
      `CHOWHOUND_NATS_ORIGINS: unknown ${unknown.join(", ")}; there are ${natsOrigins.join(", ")}`,
    );
  }
  return natsOrigins.filter((origin) => names.includes(origin));
}

/** Tries the origins in turn; `attempt` returns the path of a binary, or fails with a reason. */
export async function firstNatsServer(
  origins: readonly NatsOrigin[],
  attempt: (origin: NatsOrigin) => Promise<string>,
  log: Log,
  signal?: AbortSignal,
): Promise<NatsServerBinary> {
  const reasons: string[] = [];
  for (const origin of origins) {
    try {
      const path = await attempt(origin);
      const version = await readVersion(path);
      const crashSafe = isAtLeast(version, minimumVersion);
      if (!crashSafe && origin !== "debian")
        throw new Error(`${path} is ${version}, older than ${minimumVersion}`);
      return { path, version, origin, crashSafe };
    } catch (error) {
      signal?.throwIfAborted();
      const reason = `${origin}: ${(error as Error).message.replaceAll(/\s+/g, " ")}`;
      log(`no nats-server from ${reason}`);
      reasons.push(reason);
    }
  }
  throw new NatsServerNotFoundError(
    [
      `No nats-server ${minimumVersion} or newer was found, and none could be fetched:`,
      ...reasons.map((reason) => `  ${reason}`),
      "Put one on PATH (https://github.com/nats-io/nats-server/releases, `brew install nats-server`, or",
      `\`go install github.com/nats-io/nats-server/v2@v${natsReleaseVersion}\`), or name it: CHOWHOUND_NATS_SERVER=/path/to/nats-server`,
    ].join("\n"),
  );
}

async function explicitNatsServer(path: string): Promise<NatsServerBinary> {
  try {
    const version = await readVersion(path);
    return { path, version, origin: "env", crashSafe: isAtLeast(version, minimumVersion) };
  } catch (error) {
    throw new NatsServerNotFoundError(
      `CHOWHOUND_NATS_SERVER=${path} does not work: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

const attempts: Record<NatsOrigin, (env: Environment, log: Log, signal: AbortSignal) => Promise<string>> = {
  async path(env) {
    const path = await findOnPath("nats-server", env.PATH);
    if (path === undefined) throw new Error("there is none on PATH");
    return path;
  },

  async cache(env) {
    return existing(await cachedBinary(env, natsReleaseVersion));
  },

  async release(env, log, signal) {
    const release = natsRelease(process.platform, process.arch);
    log(`downloading ${release.url}`);
    return intoCache(env, natsReleaseVersion, (directory) =>
      unpackNatsRelease(release, directory, { signal }),
    );
  },

  async go(env, log, signal) {
    return intoCache(env, natsReleaseVersion, (directory) => goInstallNats(directory, env, log, signal));
  },

  async debian(env, log, signal) {
    // Under its own name: the attempt `cache` must not find it, or nobody would ever look for a newer one again.
    const cached = await cachedBinary(env, "debian");
    return existing(cached).catch(() => {
      log("fetching the package nats-server of this distribution");
      return intoCache(env, "debian", (directory) => unpackDebianNats(directory, signal));
    });
  },
};

async function cachedBinary(env: Environment, release: string): Promise<string> {
  return join(await findCacheDirectory(env), "nats-server", release, "nats-server");
}

async function existing(path: string): Promise<string> {
  await access(path).catch(() => {
    throw new Error(`there is no ${path}`);
  });
  return path;
}

/**
 * Has a binary made in a directory of its own, then moves it into the cache in one step, so that a process
 * looking at the same time, or one killed half way, sees all of it or nothing.
 */
async function intoCache(
  env: Environment,
  release: string,
  make: (directory: string) => Promise<string>,
): Promise<string> {
  const target = await cachedBinary(env, release);
  await mkdir(dirname(target), { recursive: true });
  const draft = await mkdtemp(`${dirname(target)}.draft-`);
  try {
    const made = await make(draft);
    await chmod(made, 0o755);
    await readVersion(made);
    await rename(made, target);
    return target;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function readVersion(path: string): Promise<string> {
  const output = await runCommand(path, ["--version"], { timeout: 10_000 });
  const version = parseNatsVersion(output);
  if (version === undefined) throw new Error(`${path} --version says ${JSON.stringify(output.trim())}`);
  return version;
}
