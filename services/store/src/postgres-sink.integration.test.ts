import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { createLogger } from "@chowhound/shared/runtime/logger";
import { freshDatabase } from "@chowhound/shared/testing/test-servers";
import { Client } from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PostgresSink } from "./postgres-sink.ts";

let database: Awaited<ReturnType<typeof freshDatabase>>;
let options: ConstructorParameters<typeof PostgresSink>[0];
let sink: PostgresSink;
beforeEach(async () => {
  database = await freshDatabase();
  options = { url: database.url, statementTimeoutMs: 5_000, readers: 1, log: createLogger("test", "error") };
  sink = new PostgresSink(options);
  const writer = sink.createWriter(0);
  await writer.open();
  await writer.close();
});
afterEach(async () => {
  await sink.close();
  await database.drop();
});

/** Of this process, while something is done. */
async function warningsOf(action: () => Promise<void>): Promise<string[]> {
  const warnings: string[] = [];
  const onWarning = ({ message }: Error): void => void warnings.push(message);
  process.on("warning", onWarning);
  try {
    await action();
    // They are told in a later turn.
    await new Promise((resolve) => setTimeout(resolve, 50));
  } finally {
    process.off("warning", onWarning);
  }
  return warnings;
}

describe("PostgresSink", () => {
  it("answers questions that come at the same time, and asks the database one by one", async () => {
    const warnings = await warningsOf(async () => {
      const questions = [sink.durability(), ...Array.from({ length: 10 }, () => sink.confirm([]))];
      expect(await Promise.all(questions)).toHaveLength(11);
    });
    expect(warnings).toEqual([]);
  });

  it("begins a new connection after one that was lost, for all who waited on it", async () => {
    const { generation } = await sink.confirm([]);
    const other = new Client(database.url);
    await other.connect();
    await other.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'chowhound-store-confirm' and datname = current_database()",
    );
    await other.end();
    await Promise.allSettled(Array.from({ length: 5 }, () => sink.confirm([])));
    expect(await sink.confirm([])).toEqual({ generation, allBooked: true });
  });

  it("gives a silent connection up once, however many waited on it", async () => {
    const way = await openWay(database.url);
    const beyond = new PostgresSink({ ...options, url: way.url });
    try {
      await beyond.confirm([]);
      way.silence();
      const warnings = await warningsOf(async () => {
        const answers = await Promise.allSettled(Array.from({ length: 20 }, () => beyond.confirm([])));
        expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(["rejected"]));
      });
      expect(warnings).toEqual([]);
    } finally {
      way.close();
      await beyond.close();
    }
  });
});

/** A way to the database on which nothing comes through any more once it is silenced. */
async function openWay(url: string): Promise<{ url: string; silence(): void; close(): void }> {
  const target = new URL(url);
  const sockets: Socket[] = [];
  const server = createServer((client) => {
    const there = connect(Number(target.port), target.hostname);
    sockets.push(client, there);
    for (const socket of [client, there]) socket.on("error", () => {});
    client.pipe(there).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const to = new URL(url);
  to.hostname = "127.0.0.1";
  to.port = String((server.address() as AddressInfo).port);
  return {
    url: to.href,
    silence() {
      for (const socket of sockets) socket.unpipe().pause();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
