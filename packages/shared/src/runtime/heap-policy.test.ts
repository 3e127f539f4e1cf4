import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";

/** Decodes packed batches, one in each turn, as stages do; prints how many full collections there were. */
const script = `
  import { constants, PerformanceObserver } from "node:perf_hooks";
  import { setImmediate as turn } from "node:timers/promises";
  import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
  import { packBatch } from "@chowhound/shared/batch/pack-batch";
  import { setHeapPolicy } from "@chowhound/shared/runtime/heap-policy";
  import { encodeSample, sampleRawBatch } from "@chowhound/shared/testing/sample-batches";
  setHeapPolicy();
  const records = Array.from({ length: 150 }, (_, i) => ({ data: \`Good morning, number \${i}. \`.repeat(20) }));
  const batch = sampleRawBatch({ records });
  const message = packBatch(encodeSample(batch), batch);
  let full = 0;
  new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) full++;
  }).observe({ entryTypes: ["gc"] });
  for (let i = 0; i < 3000; i++) {
    if (decodeBatch(Buffer.from(message)).kind !== "batch") throw new Error("no batch");
    await turn();
  }
  await turn();
  console.log(full);
`;

it("batches that are over are collected as young ones, with their buffers: hardly a full collection is needed", async () => {
  const args = ["--max-semi-space-size=4", "--input-type=module", "-e", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname });
  expect(Number(stdout)).toBeLessThanOrEqual(3);
});
