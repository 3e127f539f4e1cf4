import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { createLogger } from "@chowhound/shared/runtime/logger";
import { sampleBatch } from "@chowhound/shared/testing/sample-batches";
import { freshDatabase } from "@chowhound/shared/testing/test-servers";
import { expect, test } from "vitest";
import { PostgresWriter } from "./postgres-writer.ts";
import { openTestProxy } from "./proxy-for-test.ts";

// PostgreSQL looks at a thousand rows at a time, and a connection holds some megabytes of what comes behind them.
const RECORDS = 4_000;
const filling = "x".repeat(4_000);

/** The same keys each time, newer with each second. */
function batchAt(second: number): RecordBatch {
  const data = `${second} ${filling}`;
  const updatedAtUs = Date.UTC(2026, 0, 1, 0, 0, second) * 1000;
  const records = Array.from({ length: RECORDS }, (_, i) => ({ dataId: `${i}`, data, updatedAtUs }));
  return sampleBatch({ records });
}

test("a writer goes on where a COPY is refused before all of it was sent, over a slow connection", async () => {
  const database = await freshDatabase();
  const proxy = await openTestProxy(database.url);
  const log = createLogger("test", "error");
  const writer = new PostgresWriter({ url: proxy.url, statementTimeoutMs: 30_000, lane: 0, log });
  try {
    await writer.open();
    await writer.write([batchAt(1)]);
    // By now it expects new keys.
    proxy.slowDown();
    const { outcomes } = await writer.write([batchAt(2)]);
    expect(outcomes).toMatchObject([{ kind: "booked", verdicts: { updated: RECORDS } }]);
  } finally {
    await writer.close();
    await proxy.close();
    await database.drop();
  }
});
