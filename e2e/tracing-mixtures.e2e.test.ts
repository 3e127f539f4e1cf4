import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { SERVICES } from "@chowhound/local/mesh-service";
import { NEWEST_ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import { RecordBatchSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { IngestionService, type Receipt } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { natsNames } from "@chowhound/shared/stream/topology";
import { encodeTraceHeader, traceHeaderName } from "@chowhound/shared/telemetry/trace-header";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";
import { type OtlpReceiver, startOtlpReceiver } from "./otlp-receiver.ts";
import { clientSpan, createTracePaths } from "./trace-paths.ts";

/** Long enough for hundreds of calls to come in, too short for anything to take NATS for gone. */
const FROZEN_MS = 1_000;
const CONNECTIONS = 8;
const WAIT = { timeout: 15_000, interval: 50 };
const SAMPLED = 1;

let receiver: OtlpReceiver;
let mesh: MeshUnderTest;
let traces: ReturnType<typeof createTracePaths>;
let clients: Client<typeof IngestionService>[];
beforeAll(async () => {
  receiver = await startOtlpReceiver();
  traces = createTracePaths(receiver);
  // Nobody picks a call: only what a caller has sampled is traced.
  const env = { ...receiver.env, CHOWHOUND_TRACE_RATIO: "0" };
  mesh = await startMeshUnderTest({ env: Object.fromEntries(SERVICES.map((service) => [service, env])) });
  clients = Array.from({ length: CONNECTIONS }, () =>
    createClient(IngestionService, createGrpcTransport({ baseUrl: `http://${mesh.endpoints.grpc}` })),
  );
}, 120_000);
afterAll(async () => {
  await mesh.remove();
  await receiver.close();
});

/** Calls of one record each, all at once, with these trace contexts or, where one is empty, none. */
async function ingestAll(source: string, contexts: readonly string[]): Promise<Receipt[]> {
  const authorization = `Bearer ${mesh.endpoints.key}`;
  const answers = contexts.map((traceparent, i) =>
    clients[i % clients.length]!.ingest(
      { records: [note(`${i}`, "one of many", 1, { sourceId: source })] },
      { headers: { authorization, ...(traceparent !== "" && { traceparent }) } },
    ),
  );
  return (await Promise.all(answers)).map(({ receipt }) => receipt!);
}

/** The same in a batch that they share: while NATS is frozen it stays open. */
async function ingestMerged(source: string, contexts: readonly string[]): Promise<Receipt[]> {
  // Connected before, so that in that moment there is nothing but the calls.
  await ingestAll(
    "before",
    clients.map(() => ""),
  );
  await mesh.untilDrained();
  const nats = mesh.process("nats");
  nats.kill("SIGSTOP");
  try {
    const answers = ingestAll(source, contexts);
    await sleep(FROZEN_MS);
    nats.kill("SIGCONT");
    return await answers;
  } finally {
    nats.kill("SIGCONT");
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

it("a write that fails is told on the spans of its calls, which still lead to the commit", async () => {
  const client = clientSpan();
  await mesh.books.query("alter table records rename to records_away");
  let answer: Promise<Receipt[]>;
  try {
    answer = ingestAll("failed-write", [client.traceparent]);
    const storeLog = mesh.process("store").logFile;
    await vi.waitFor(
      async () => expect(await readFile(storeLog, "utf8")).toContain(`"trace_id":"${client.traceId}"`),
      WAIT,
    );
  } finally {
    await mesh.books.query("alter table records_away rename to records");
  }
  await answer;
  const way = await traces.wholeWay(client);
  const failed = { name: "write.failed", attributes: { "chowhound.reason": "write_failed" } };
  const store = way.at(-2)!;
  expect(store.events).toContainEqual(failed);
  // It went well in the end.
  expect(way.map(({ isError }) => isError)).toEqual(way.map(() => false));
  const group = await vi.waitFor(() => {
    const found = receiver.spans.find(
      ({ name, links }) => name === "write group" && links.some(({ spanId }) => spanId === store.spanId),
    );
    expect(found).toBeDefined();
    return found!;
  }, WAIT);
  expect(group.events).toContainEqual(failed);
});

it("a batch that is given back ends its calls' spans with an error, and the log names the trace", async () => {
  const { traceId, spanId } = clientSpan();
  const context = { traceId, spanId, traceFlags: SAMPLED };
  const bytes = toBinary(
    RecordBatchSchema,
    create(RecordBatchSchema, { envelopeVersion: NEWEST_ENVELOPE_VERSION + 1 }),
  );
  const traced = headers();
  traced.set(traceHeaderName(0), encodeTraceHeader(new Map([[0, context]]), 1_000)!);
  const nc = await connect({ servers: mesh.endpoints.natsUrl });
  try {
    const names = natsNames("chowhound");
    for (const [stream, service] of [
      ["raw", "enricher"],
      ["enriched", "dedup"],
      ["unique", "store"],
    ] as const) {
      const { seq } = await jetstream(nc).publish(names.subject(stream, 0), bytes, { headers: traced });
      const span = await vi.waitFor(() => {
        const found = traces.spansOf(traceId).find(({ service: of }) => of === `chowhound-${service}`);
        expect(found).toBeDefined();
        return found!;
      }, WAIT);
      await (await jetstreamManager(nc)).streams.deleteMessage(names.stream(stream), seq);
      expect(span).toMatchObject({
        name: `process ${names.stream(stream)}`,
        parentSpanId: spanId,
        isError: true,
        attributes: { "error.type": "given_back", "chowhound.delivery_attempt": 1 },
      });
      const lines = (await readFile(mesh.process(service).logFile, "utf8")).trim().split("\n");
      const line = lines.map((text) => JSON.parse(text)).find((entry) => entry.trace_id === traceId);
      expect(line).toMatchObject({ level: "warn", service: expect.stringContaining(service) });
    }
  } finally {
    await nc.close();
  }
});
