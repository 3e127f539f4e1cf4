import { setTimeout as sleep } from "node:timers/promises";
import { freshDatabase } from "@chowhound/shared/testing/test-servers";
import { Client } from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { expect, it } from "vitest";
import { connectionOptions, endClient, readSession, terminateSession } from "./postgres-connection.ts";

it("lets go of a transaction whose store is gone, and of its session", async () => {
  const database = await freshDatabase();
  const gone = new Client(connectionOptions(database.url, { idleInTransactionMs: 300 }));
  const other = new Client(connectionOptions(database.url));
  const lost = new Promise((resolve) => gone.on("error", resolve));
  try {
    await gone.connect();
    await other.connect();
    await other.query("create table things (id integer primary key)");
    await gone.query("begin; insert into things values (1)");
    // Waits for it.
    await other.query("insert into things values (1)");
    expect(await lost).toMatchObject({ code: "25P03" });

    const { rows } = await other.query(
      `select name, setting from pg_settings where name like 'tcp%' or name like 'idle_in%' order by name`,
    );
    expect(rows.map(({ name, setting }) => `${name} ${setting}`)).toEqual([
      "idle_in_transaction_session_timeout 10000",
      "tcp_keepalives_count 3",
      "tcp_keepalives_idle 10",
      "tcp_keepalives_interval 5",
      "tcp_user_timeout 20000",
    ]);
  } finally {
    await endClient(gone);
    await endClient(other);
    await database.drop();
  }
});

it("ends a session that waits for the data of a COPY, and no other one", async () => {
  const database = await freshDatabase();
  const gone = new Client(connectionOptions(database.url, { idleInTransactionMs: 300 }));
  const other = new Client(connectionOptions(database.url));
  const lost = new Promise((resolve) => gone.on("error", resolve));
  try {
    await gone.connect();
    await other.connect();
    await other.query("create table things (id integer primary key)");
    const session = await readSession(gone);
    await gone.query("begin; insert into things values (1)");
    gone.query(copyFrom("copy things from stdin")).on("error", () => {});
    await terminateSession(other, { ...session, startedAt: "2020-01-01" });
    const waiting = other.query("insert into things values (1)");
    expect(await Promise.race([waiting, sleep(1_000, "still held")])).toBe("still held");

    const third = new Client(connectionOptions(database.url));
    await third.connect();
    await terminateSession(third, session);
    await waiting;
    await endClient(third);
    await lost;
  } finally {
    await endClient(gone);
    await endClient(other);
    await database.drop();
  }
});
