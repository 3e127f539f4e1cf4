import { createLogger } from "@chowhound/shared/runtime/logger";
import { freshDatabase } from "@chowhound/shared/testing/test-servers";
import { Client } from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PostgresSink } from "./postgres-sink.ts";

let database: Awaited<ReturnType<typeof freshDatabase>>;
let sink: PostgresSink;
beforeEach(async () => {
  database = await freshDatabase();
  const log = createLogger("test", "error");
  sink = new PostgresSink({ url: database.url, statementTimeoutMs: 5_000, readers: 1, log });
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
    const warnings = await warningsOf(async () => {
      await Promise.allSettled(Array.from({ length: 20 }, () => sink.confirm([])));
    });
    expect(warnings).toEqual([]);
    expect(await sink.confirm([])).toEqual({ generation, allBooked: true });
  });
});
