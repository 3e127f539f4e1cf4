import { expect, test } from "vitest";
import type { OutgoingRecord } from "./batch.ts";
import { collectBatches } from "./collect-batches.ts";

const record = (line: number): OutgoingRecord => ({
  bytes: new Uint8Array(10),
  origin: { input: 0, line, endBytes: line, raw: Buffer.alloc(0) },
});

test("hands on what came before its input broke, then fails", async () => {
  async function* broken(): AsyncGenerator<OutgoingRecord[]> {
    yield [record(1), record(2)];
    throw new Error("the rest is cut off");
  }
  const batches = collectBatches(broken());
  const first = await batches.next();
  expect(first.value?.records.map(({ origin }) => origin.line)).toEqual([1, 2]);
  await expect(batches.next()).rejects.toThrow("the rest is cut off");
});
