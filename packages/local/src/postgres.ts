import { randomBytes } from "node:crypto";
import { chown, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onPort, PortInUseError } from "./free-port.ts";
import { findPostgresBinaries, type PostgresBinaries } from "./postgres-binaries.ts";
import { ensurePostgresHome } from "./postgres-home.ts";
import { runCommand } from "./run-command.ts";
import { type ServerChild, ServerStartError, startServerChild } from "./server-child.ts";
import { findUnprivilegedUser, type User } from "./unprivileged-user.ts";

export { removePostgresData } from "./postgres-home.ts";

export interface PostgresOptions {
  /** For this server alone. */
  dataDir: string;
  /** Instead of the PostgreSQL that npm installed. */
  binaries?: PostgresBinaries;
  /** None or 0: a free one. */
  port?: number;
  /** The superuser's, when the database is first made (a random one by default); it is kept in `dataDir`. */
  password?: string;
  /** Settings of postgresql.conf, as in `{ fsync: "off" }` for a throwaway database. Durable by default. */
  settings?: Readonly<Record<string, string>>;
  /** Aborted: the start is given up. */
  signal?: AbortSignal | undefined;
  log: (line: string) => void;
}

/** A running PostgreSQL. */
export interface Postgres extends ServerChild {
  /** Connects as superuser to the database `postgres`. */
  url: string;
  port: number;
  version: string;
}

const host = "127.0.0.1";
const superuser = "postgres";

/**
 * Starts PostgreSQL on the loopback interface, making its database on the first start, and waits until it is
 * ready. Started again on the same directory it has its data again, also after a kill. As root it runs as another
 * user, see `unprivileged-user.ts`.
 *
 * @throws {PortInUseError} @throws {ServerStartError} @throws {DataDirInUseError}
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const { settings = {}, signal, log } = options;
  const user = findUnprivilegedUser();
  const binaries = options.binaries ?? (await findPostgresBinaries(user));
  const home = await ensurePostgresHome(resolve(options.dataDir), user);
  const cluster = join(home, "cluster");
  const password = await ensureCluster({ home, cluster, binaries, user, password: options.password });

  return onPort(options.port, host, async (port) => {
    const child = await startServer({ home, cluster, binaries, user, port, settings, signal, log });
    const url = `postgresql://${superuser}:${encodeURIComponent(password)}@${host}:${port}/postgres`;
    return { ...child, url, port, version: binaries.version };
  });
}

/** Makes the database if it isn't there; returns the password. A start that was killed half way leaves nothing. */
async function ensureCluster(options: {
  home: string;
  cluster: string;
  binaries: PostgresBinaries;
  user: User | undefined;
  password: string | undefined;
}): Promise<string> {
  const { home, cluster, user } = options;
  const passwordFile = join(home, "password");
  if (await exists(join(cluster, "PG_VERSION"))) return (await readFile(passwordFile, "utf8")).trim();

  const draft = `${cluster}.draft`;
  await rm(draft, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  const password = options.password ?? randomBytes(24).toString("base64url");
  await mkdir(draft, { mode: 0o700 });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600, flag: "wx" });
  if (user) {
    await chown(draft, user.uid, user.gid);
    await chown(passwordFile, user.uid, user.gid);
  }
  // PostgreSQL's own C.UTF-8 sorts by bytes, and is the same on every system. It is there since 17.
  const hasOwnLocale = Number.parseFloat(options.binaries.version) >= 17;
  const ownLocale = hasOwnLocale ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] : [];
  const locale = ["--encoding=UTF8", "--no-locale", ...ownLocale];
  await runCommand(
    options.binaries.initdb,
    [
      `--pgdata=${draft}`,
      `--username=${superuser}`,
      "--auth=scram-sha-256",
      `--pwfile=${passwordFile}`,
      "--no-instructions",
      ...locale,
    ],
    { ...user, cwd: draft, env: environment(), timeout: 120_000 },
  );
  await rename(draft, cluster);
  return password;
}

async function startServer(options: {
  home: string;
  cluster: string;
  binaries: PostgresBinaries;
  user: User | undefined;
  port: number;
  settings: Readonly<Record<string, string>>;
  signal: AbortSignal | undefined;
  log: (line: string) => void;
}): Promise<ServerChild> {
  const { home, cluster, user, port } = options;
  const settings = { listen_addresses: host, unix_socket_directories: "", ...options.settings };
  // After a kill, the processes of the old server may need a moment to notice; the new one refuses until then.
  const giveUpMs = performance.now() + 15_000;
  for (;;) {
    try {
      await removeStaleLock(cluster);
      return await startServerChild({
        what: "PostgreSQL",
        command: options.binaries.postgres,
        args: [
          "-D",
          cluster,
          "-p",
          String(port),
          ...Object.entries(settings).flatMap(([k, v]) => ["-c", `${k}=${v}`]),
        ],
        spawn: { ...user, cwd: cluster, env: environment() },
        logFile: join(home, "postgres.log"),
        pidFile: join(home, "postgres.pid"),
        stopSignal: "SIGINT",
        isReady: (pid) => isReady(cluster, pid),
        signal: options.signal,
        log: options.log,
      });
    } catch (error) {
      if (!(error instanceof ServerStartError)) throw error;
      if (/address already in use/i.test(error.logTail))
        throw new PortInUseError("postgres", port, { cause: error });
      const isOldOneEnding = /shared memory block .* is still in use/.test(error.logTail);
      if (!isOldOneEnding || performance.now() > giveUpMs) throw error;
      await sleep(100);
    }
  }
}

/** PostgreSQL's lock file says "ready" in its last line, and in its first whose it is. */
async function isReady(cluster: string, pid: number): Promise<boolean> {
  const lines = await readLock(cluster);
  return lines[0] === String(pid) && lines[7]?.trim() === "ready";
}

/**
 * Removes the lock of a server that was killed if another program has its pid by now, as happens when a container
 * starts again: PostgreSQL would take that program for itself. It recognizes a pid nobody has on its own.
 */
async function removeStaleLock(cluster: string): Promise<void> {
  if (process.platform !== "linux") return;
  const [pid] = await readLock(cluster);
  if (pid === undefined) return;
  const commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  const isTaken = commandLine !== "" && !commandLine.split("\0").includes(cluster);
  if (isTaken) await rm(lockFile(cluster), { force: true });
}

async function readLock(cluster: string): Promise<string[]> {
  const content = await readFile(lockFile(cluster), "utf8").catch(() => "");
  return content === "" ? [] : content.split("\n");
}

function lockFile(cluster: string): string {
  return join(cluster, "postmaster.pid");
}

/** Ours without what libpq and the locale would read into it. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("PG") && !name.startsWith("LC_"),
  );
  return { ...Object.fromEntries(own), LC_ALL: "C" };
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
