import { createLogger } from "@chowhound/shared/runtime/logger";
import { freshDatabase } from "@chowhound/shared/testing/test-servers";
import { Client } from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { migrate, SchemaTooNewError } from "./migrate.ts";
import { PostgresWriter } from "./postgres-writer.ts";

const log = createLogger("test", "error");
let database: Awaited<ReturnType<typeof freshDatabase>>;
let client: Client;

beforeAll(async () => {
  database = await freshDatabase();
  client = new Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

it("starts no store on a schema that it doesn't know, and says what to do; one that is connected works on", async () => {
  const create = (lane: number) =>
    new PostgresWriter({ url: database.url, statementTimeoutMs: 30_000, lane, log });
  const [running, late] = [create(0), create(1)];
  try {
    await running.open();
    await client.query("insert into schema_migrations (number, name) values (9999, '9999_of_later.sql')");

    const refused = await late.open().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(SchemaTooNewError);
    expect((refused as Error).message).toMatch(
      /^the database's schema is at 9999, this software knows \d+: run a newer store, or another database$/,
    );
    await running.open();
    expect(await running.write([])).toMatchObject({ outcomes: [] });

    // Nobody is kept from migrating.
    await client.query("delete from schema_migrations where number = 9999");
    await migrate(client, log);
    await late.open();
  } finally {
    await running.close();
    await late.close();
  }
});

it("is done once, by however many stores at a time", async () => {
  const { url, drop } = await freshDatabase();
  const clients = await Promise.all(
    [1, 2, 3].map(async () => {
      const each = new Client({ connectionString: url });
      await each.connect();
      return each;
    }),
  );
  try {
    await Promise.all(clients.map((each) => migrate(each, log)));
    const { rows } = await clients[0]!.query("select count(*)::int as n from schema_migrations");
    expect(rows).toEqual((await client.query("select count(*)::int as n from schema_migrations")).rows);
  } finally {
    for (const each of clients) await each.end();
    await drop();
  }
});
