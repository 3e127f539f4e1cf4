import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PortInUseError } from "./free-port.ts";
import { type Postgres, type PostgresOptions, removePostgresData, startPostgres } from "./postgres.ts";
import { ServerStartError } from "./server-child.ts";

let parent: string;
let dataDir: string;
const started: Postgres[] = [];

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "chowhound-postgres-"));
  await chmod(parent, 0o755);
  dataDir = join(parent, "data");
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.stop()));
  await removePostgresData(dataDir);
  await rm(parent, { recursive: true });
});

async function start(options: Partial<PostgresOptions> = {}): Promise<Postgres> {
  const server = await startPostgres({ dataDir, log: () => {}, ...options });
  started.push(server);
  return server;
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client(url);
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

describe("startPostgres", { timeout: 60_000 }, () => {
  test("keeps what is committed through kills and stops, on the same port", async () => {
    const first = await start();
    await query(first.url, "create table kept (n int); insert into kept select generate_series(1, 1000)");

    first.kill("SIGKILL");
    await first.exited;
    const second = await start({ port: first.port });
    expect(second.url).toBe(first.url);
    expect(await query(second.url, "select count(*)::int from kept")).toEqual([{ count: 1000 }]);

    await Promise.all([second.stop(), second.stop()]);
    expect(await second.exited).toEqual({ code: 0, signal: null });
    const third = await start();
    expect(await query(third.url, "select count(*)::int from kept")).toEqual([{ count: 1000 }]);
  });

  test("is durable, closed and the same everywhere by default; settings change it", async () => {
    const names =
      "'fsync', 'synchronous_commit', 'listen_addresses', 'unix_socket_directories', 'server_encoding'";
    const sql = `select name, setting from pg_settings where name in (${names}) order by name`;
    const server = await start({ settings: { synchronous_commit: "off" } });
    expect(await query(server.url, sql)).toEqual([
      { name: "fsync", setting: "on" },
      { name: "listen_addresses", setting: "127.0.0.1" },
      { name: "server_encoding", setting: "UTF8" },
      { name: "synchronous_commit", setting: "off" },
      { name: "unix_socket_directories", setting: "" },
    ]);
    expect(
      await query(server.url, "select datlocprovider, datlocale from pg_database where datname = 'postgres'"),
    ).toEqual([{ datlocprovider: "b", datlocale: "C.UTF-8" }]);
    const wrongPassword = Object.assign(new URL(server.url), { password: "wrong" });
    await expect(query(wrongPassword.href, "select 1")).rejects.toThrow(/password authentication failed/);
    expect((await stat(join(dataDir, "password"))).mode & 0o777).toBe(0o600);
  });

  test("takes the password it is given", async () => {
    const server = await start({ password: "p@ss/word" });
    expect(new URL(server.url).password).toBe("p%40ss%2Fword");
    expect(await query(server.url, "select 1 as one")).toEqual([{ one: 1 }]);
  });

  test("says so when the port is taken", async () => {
    const { port } = await start();
    const elsewhere = join(parent, "elsewhere");
    const failure = start({ port, dataDir: elsewhere });
    await expect(failure).rejects.toThrow(PortInUseError);
    await expect(failure).rejects.toMatchObject({ port, what: "postgres" });
    await removePostgresData(elsewhere);
  });

  test("shows the server's own words when it does not start", async () => {
    const failure = start({ settings: { shared_buffers: "nonsense" } });
    await expect(failure).rejects.toThrow(ServerStartError);
    await expect(failure).rejects.toThrow(/shared_buffers/);
  });

  test("is not misled by a lock whose pid belongs to another program by now", async () => {
    const first = await start();
    first.kill("SIGKILL");
    await first.exited;
    const lock = join(dataDir, "cluster", "postmaster.pid");
    const [, ...rest] = (await readFile(lock, "utf8")).split("\n");
    await writeFile(lock, [process.pid, ...rest].join("\n"));
    const second = await start();
    expect(await query(second.url, "select 1 as one")).toEqual([{ one: 1 }]);
  });

  test.runIf(process.getuid?.() === 0)("as root, also works where only root can go", async () => {
    await mkdir(dataDir);
    await chmod(parent, 0o700);
    const first = await start();
    await query(first.url, "create table kept ()");
    expect(await readdir(dataDir)).toEqual(["moved-to.txt"]);
    await first.stop();

    const second = await start();
    expect(await query(second.url, "select * from kept")).toEqual([]);
    expect((await stat(parent)).mode & 0o777).toBe(0o700);
  });
});
