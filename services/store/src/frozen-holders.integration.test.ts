import { setTimeout as sleep } from "node:timers/promises";
import { createLogger } from "@chowhound/shared/runtime/logger";
import { freshDatabase } from "@chowhound/shared/testing/test-servers";
import { Client } from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { afterAll, beforeAll, expect, it } from "vitest";
import { FrozenHolders, WRITER_NAME } from "./frozen-holders.ts";
import { connectionOptions, endClient, readSession } from "./postgres-connection.ts";

const STANDSTILL_MS = 1_500;
/** Long enough for one that stands still to be found. */
const LATER_MS = STANDSTILL_MS + 3_500;

const quiet = createLogger("test", "error");
let database: Awaited<ReturnType<typeof freshDatabase>>;
const clients: Client[] = [];

beforeAll(async () => {
  database = await freshDatabase();
  const client = await connect();
  await client.query("create table things (id integer primary key); create table others (id integer)");
});
afterAll(async () => {
  await Promise.all(clients.map(endClient));
  await database.drop();
});

async function connect(name = WRITER_NAME): Promise<Client> {
  const client = new Client({ ...connectionOptions(database.url), application_name: name });
  client.on("error", () => {});
  await client.connect();
  clients.push(client);
  return client;
}

/** Claims a thing, then begins a COPY whose data doesn't end. */
async function holdThing(client: Client, id: number) {
  await client.query(`begin; insert into things values (${id})`);
  const copy = client.query(copyFrom("copy others from stdin"));
  copy.on("error", () => {});
  copy.write("1\n");
  return copy;
}

/** What becomes of a writer that wants the same thing. */
async function want(id: number, log = quiet): Promise<string> {
  const waiting = await connect();
  const holders = new FrozenHolders({ url: database.url, standstillMs: STANDSTILL_MS, log });
  const landed = holders.watch(await readSession(waiting), () =>
    waiting.query(`insert into things values (${id})`),
  );
  landed.catch(() => {});
  return Promise.race([landed.then(() => "landed"), sleep(LATER_MS, "held up")]);
}

it.concurrent("ends a writer that stands still in the midst of a COPY, and says so", async () => {
  const frozen = await connect();
  const lost = new Promise((resolve) => frozen.on("error", resolve));
  const { pid } = await readSession(frozen);
  await holdThing(frozen, 1);
  const logged: object[] = [];
  const log = { ...quiet, warn: (fields: object) => logged.push(fields) };
  expect(await want(1, log as never)).toBe("landed");
  await lost;
  // It is told once the server has answered, which the one that waited may hear sooner.
  await expect
    .poll(() => logged, { timeout: 5_000 })
    .toEqual([expect.objectContaining({ session: pid, state: "active" })]);
});

it.concurrent("ends a writer that stands still and keeps others from migrating", async () => {
  const frozen = await connect();
  await frozen.query("select pg_advisory_lock(1)");
  const waiting = await connect();
  const holders = new FrozenHolders({ url: database.url, standstillMs: STANDSTILL_MS, log: quiet });
  await holders.watch(await readSession(waiting), () => waiting.query("select pg_advisory_lock(1)"));
});

it.concurrent("leaves alone a writer whose COPY gets on, however slowly", async () => {
  const slow = await connect();
  const copy = await holdThing(slow, 2);
  const more = setInterval(() => copy.write("1\n"), STANDSTILL_MS / 2);
  expect(await want(2)).toBe("held up");
  clearInterval(more);
  copy.end();
  await new Promise((resolve) => copy.on("finish", resolve));
  await slow.query("commit");
});

it.concurrent("leaves alone a writer that is at work", async () => {
  const busy = await connect();
  await busy.query("begin; insert into things values (3)");
  const working = busy.query(`select pg_sleep(${LATER_MS / 1000 + 1})`);
  expect(await want(3)).toBe("held up");
  await working;
});

it.concurrent("leaves alone a writer whose next statement comes in time", async () => {
  const idle = await connect();
  await idle.query("begin; insert into things values (4)");
  const statements = setInterval(() => void idle.query("select 1"), STANDSTILL_MS / 2);
  expect(await want(4)).toBe("held up");
  clearInterval(statements);
  await idle.query("rollback");
});

it.concurrent("leaves alone the session of somebody else", async () => {
  const other = await connect("psql");
  await holdThing(other, 5);
  expect(await want(5)).toBe("held up");
});
