import { setTimeout as sleep } from "node:timers/promises";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { SERVICES } from "@chowhound/local/mesh-service";
import { IngestionService, type Receipt } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";
import { type OtlpReceiver, startOtlpReceiver } from "./otlp-receiver.ts";
import { clientSpan, createTracePaths } from "./trace-paths.ts";

/** Long enough for hundreds of calls to come in, too short for anything to take NATS for gone. */
const FROZEN_MS = 200;

let receiver: OtlpReceiver;
let mesh: MeshUnderTest;
let traces: ReturnType<typeof createTracePaths>;
beforeAll(async () => {
  receiver = await startOtlpReceiver();
  traces = createTracePaths(receiver);
  // Nobody picks a call: only what a caller has sampled is traced.
  const env = { ...receiver.env, CHOWHOUND_TRACE_RATIO: "0" };
  mesh = await startMeshUnderTest({ env: Object.fromEntries(SERVICES.map((service) => [service, env])) });
}, 120_000);
afterAll(async () => {
  await mesh.remove();
  await receiver.close();
});

/** Calls of one record each, with these trace contexts or none, that share a batch: while NATS is frozen it stays open. */
async function ingestMerged(source: string, contexts: readonly string[]): Promise<Receipt[]> {
  const { key, grpc } = mesh.endpoints;
  const clients = contexts.map((traceparent) => {
    const client = createGrpcClient(IngestionService, grpc, { key });
    if (traceparent !== "") client.metadata.set("traceparent", traceparent);
    return client;
  });
  const nats = mesh.process("nats");
  nats.kill("SIGSTOP");
  try {
    const answers = clients.map((client, i) =>
      client.calls.ingest({ records: [note(`${i}`, "merged", 1, { sourceId: source })] }),
    );
    await sleep(FROZEN_MS);
    nats.kill("SIGCONT");
    return (await Promise.all(answers)).map(({ receipt }) => receipt!);
  } finally {
    nats.kill("SIGCONT");
    for (const client of clients) client.close();
  }
}

it("INV-8: every sampled call of a batch has its whole way, however many there are, and no other call has a span", async () => {
  const clients = Array.from({ length: 400 }, (_, i) => clientSpan(i % 4 === 3 ? "00" : "01"));
  const sampled = clients.filter(({ traceparent }) => traceparent.endsWith("01"));
  const contexts = clients.flatMap(({ traceparent }, i) =>
    i % 10 === 0 ? [traceparent, ""] : [traceparent],
  );
  const receipts = await ingestMerged("mixed", contexts);

  const ways = await Promise.all(sampled.map((client) => traces.wholeWay(client)));
  await traces.allSent();
  const batches = receiver.spans.filter(({ name }) => name === "process batch chowhound-unique");
  const largest = batches.toSorted((a, b) => b.links.length - a.links.length)[0]!;
  // Else nothing is shown: most calls are in one batch, the sampled with others.
  expect(largest.links.length).toBeGreaterThan(150);
  expect(largest.attributes["chowhound.batch.calls"]).toBeGreaterThan(largest.links.length);
  const groups = receiver.spans.filter(({ name }) => name === "write group");
  expect(groups.flatMap(({ links }) => links)).toHaveLength(sampled.length);

  for (const [i, { traceId }] of sampled.entries())
    expect(traces.spansOf(traceId)).toHaveLength(ways[i]!.length);
  const known = new Set(sampled.map(({ traceId }) => traceId));
  const others = receipts.map(({ traceId }) => traceId).filter((traceId) => !known.has(traceId));
  expect(others).toHaveLength(contexts.length - sampled.length);
  // Those that came without a context have no trace at all.
  expect(others.filter((traceId) => traceId === "")).toHaveLength(contexts.length - clients.length);
  expect(others.flatMap((traceId) => traces.spansOf(traceId))).toEqual([]);
  // Beside the calls' own, there are only those of batches and groups, each for some sampled call.
  const shared = receiver.spans.filter(({ traceId }) => !known.has(traceId));
  for (const { name, links } of shared) {
    expect(name).toMatch(/^(process batch chowhound-(raw|enriched|unique)|write group)$/);
    expect(links.length).toBeGreaterThan(0);
    for (const { traceId } of links) expect(known.has(traceId)).toBe(true);
  }
  await mesh.untilDrained();
  const rows = await mesh.books.query<{ trace_id: string | null }>(
    "select trace_id from records where source_id = 'mixed'",
  );
  expect(rows.map((row) => row.trace_id ?? "").sort()).toEqual(receipts.map(({ traceId }) => traceId).sort());
});
