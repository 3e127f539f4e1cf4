import { readFile } from "node:fs/promises";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { SERVICES } from "@chowhound/local/mesh-service";
import { IngestionService, type Receipt } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { QueryService } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { deadLettersAt } from "./dead-letter-calls.ts";
import { type MeshUnderTest, note, type RecordInit, startMeshUnderTest } from "./mesh-under-test.ts";
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "./otlp-receiver.ts";
import { type ClientSpan, clientSpan, createTracePaths, hops, KIND } from "./trace-paths.ts";

const WAIT = { timeout: 15_000, interval: 50 };
const UNARY = { sourceId: "unary" };

/** Every hop of a replay; from RAW on it goes as a call does. */
const REPLAY_HOPS = [
  ["chowhound-store", "chowhound.v1.DeadLetterService/ReplayDeadLetters", KIND.server],
  ["chowhound-store", "send chowhound-raw", KIND.producer],
  ...hops("Ingest").slice(2),
];

let receiver: OtlpReceiver;
let mesh: MeshUnderTest;
let traces: ReturnType<typeof createTracePaths>;
beforeAll(async () => {
  receiver = await startOtlpReceiver();
  traces = createTracePaths(receiver);
  const envOf = (service: string) => ({
    ...receiver.env,
    // Only the gateway decides: all others follow.
    CHOWHOUND_TRACE_RATIO: service === "gateway" ? "1" : "0",
  });
  mesh = await startMeshUnderTest({
    env: Object.fromEntries(SERVICES.map((service) => [service, envOf(service)])),
  });
}, 120_000);
afterAll(async () => {
  await mesh.remove();
  await receiver.close();
});

/** One unary gRPC call below a client's span. */
async function ingest({ traceparent }: ClientSpan, records: RecordInit[]): Promise<Receipt> {
  const { key, grpc } = mesh.endpoints;
  const client = createGrpcClient(IngestionService, grpc, { key });
  client.metadata.set("traceparent", traceparent);
  try {
    return (await client.calls.ingest({ records })).receipt!;
  } finally {
    client.close();
  }
}

/** While the database refuses new rows with this text. */
async function refusing(data: string, run: () => Promise<void>): Promise<void> {
  await mesh.books.query(`alter table records add constraint refused check (data <> '${data}') not valid`);
  try {
    await run();
  } finally {
    await mesh.books.query("alter table records drop constraint refused");
  }
}

/** Replays what died of one source, below an operator's span. */
async function replay(sourceId: string, { traceparent }: ClientSpan): Promise<void> {
  const letters = deadLettersAt(mesh.endpoints.admin.store!);
  await letters.replay({ by: { case: "filter", value: { sourceId } } }, { traceparent });
  letters.close();
}

const headersOf = ({ traceparent }: ClientSpan) => ({
  authorization: `Bearer ${mesh.endpoints.key}`,
  traceparent,
});

const sum = (spans: readonly ReceivedSpan[], attribute: string): number =>
  spans.reduce((total, { attributes }) => total + Number(attributes[attribute] ?? 0), 0);

async function traceIdsOf(source: string): Promise<unknown[]> {
  await mesh.untilDrained();
  const sql = "select distinct trace_id from records where source_id = $1";
  return (await mesh.books.query<{ trace_id: string }>(sql, [source])).map((row) => row.trace_id);
}

describe("INV-8: every hop of a sampled call is in one trace", () => {
  it("for a unary call, from the client's span to the commit, and no other span", async () => {
    const client = clientSpan();
    const receipt = await ingest(client, [note("a", "one", 1, UNARY), note("b", "two", 1, UNARY)]);
    expect(receipt.traceId).toBe(client.traceId);
    const path = await traces.wholeWay(client);
    await traces.allSent();
    expect(traces.spansOf(client.traceId)).toHaveLength(path.length);
    expect(await traceIdsOf("unary")).toEqual([client.traceId]);
    const [server, , , , , , store, commit] = path;
    expect(server!.attributes).toMatchObject({
      "rpc.system.name": "grpc",
      "rpc.method": "chowhound.v1.IngestionService/Ingest",
      "chowhound.receipt_id": receipt.receiptId,
    });
    expect(store!.attributes).toMatchObject({ "messaging.system": "nats", "chowhound.records": 2 });
    expect(commit!.attributes).toMatchObject({
      "db.system.name": "postgresql",
      "db.operation.name": "COMMIT",
    });
    // Each span has a clock of its own, exact to a millisecond.
    expect(commit!.startMs).toBeGreaterThanOrEqual(store!.startMs - 1);
    expect(commit!.endMs).toBeLessThanOrEqual(store!.endMs + 1);
  });

  it("for a call over HTTP", async () => {
    const client = clientSpan();
    const transport = createConnectTransport({ baseUrl: mesh.endpoints.http, httpVersion: "1.1" });
    const records = [note("a", "over HTTP", 1, { sourceId: "http" })];
    await createClient(IngestionService, transport).ingest({ records }, { headers: headersOf(client) });
    const [server] = await traces.wholeWay(client);
    expect(server!.attributes["rpc.system.name"]).toBe("connectrpc");
  });

  it("for each batch of a stream", async () => {
    const client = clientSpan();
    const transport = createGrpcTransport({ baseUrl: `http://${mesh.endpoints.grpc}` });
    async function* batches() {
      for (let i = 1; i <= 3; i++)
        yield { batchNumber: BigInt(i), records: [note(`${i}`, "streamed", 1, { sourceId: "streamed" })] };
    }
    const receiptIds: string[] = [];
    const stream = createClient(IngestionService, transport).ingestStream(batches(), {
      headers: headersOf(client),
    });
    for await (const { receipt } of stream) receiptIds.push(receipt!.receiptId);
    const [first, ...further] = hops("IngestStream");
    const servers = await vi.waitFor(() => {
      const found = traces
        .spansOf(client.traceId)
        .filter(({ parentSpanId }) => parentSpanId === client.spanId);
      expect(found.map(({ service, name, kind }) => [service, name, kind])).toEqual([first, first, first]);
      return found;
    }, WAIT);
    expect(servers.map(({ attributes }) => attributes["chowhound.receipt_id"]).sort()).toEqual(
      receiptIds.sort(),
    );
    for (const server of servers) await traces.wholeWay(server, further);
    expect(await traceIdsOf("streamed")).toEqual([client.traceId]);
  });

  it("for each of the calls that share a batch, and the batch's own spans link them", async () => {
    const clients = Array.from({ length: 10 }, () => clientSpan());
    await Promise.all(
      clients.map((client, i) => ingest(client, [note(`${i}`, "shared", 1, { sourceId: "merged" })])),
    );
    const paths = await Promise.all(clients.map((client) => traces.wholeWay(client)));
    await traces.allSent();
    for (const stage of ["chowhound-enricher", "chowhound-dedup", "chowhound-store"]) {
      const spansOfCalls = paths
        .flat()
        .filter((span) => span.service === stage && span.kind === KIND.consumer);
      const batchIds = new Set(spansOfCalls.map(({ links }) => links[0]?.spanId));
      const batches = receiver.spans.filter(({ spanId }) => batchIds.has(spanId));
      expect(batches).toHaveLength(batchIds.size);
      // Ten calls at once, so some share one; each is linked by its batch, from a trace that is none of theirs.
      expect(batches.length).toBeLessThan(clients.length);
      const linked = batches.flatMap(({ links }) => links);
      expect(linked.map(({ traceId }) => traceId).sort()).toEqual(
        clients.map(({ traceId }) => traceId).sort(),
      );
      expect(batches.map(({ parentSpanId }) => parentSpanId).join("")).toBe("");
      expect(sum(batches, "messaging.batch.message_count")).toBe(clients.length);
      if (stage === "chowhound-store") expect(sum(batches, "chowhound.verdict.stored")).toBe(clients.length);
    }
    const traceIds = new Set(clients.map(({ traceId }) => traceId));
    const groups = receiver.spans.filter(
      ({ name, links }) => name === "write group" && links.some(({ traceId }) => traceIds.has(traceId)),
    );
    expect(groups.flatMap(({ links }) => links)).toHaveLength(clients.length);
  });

  it("for a call without a context that the gateway picks, under a trace id of its own", async () => {
    const receipt = await mesh.ingest([note("a", "picked", 1, { sourceId: "picked" })]);
    expect(receipt.traceId).toMatch(/^[0-9a-f]{32}$/);
    await traces.wholeWay({ traceId: receipt.traceId, spanId: "" });
    expect(await traceIdsOf("picked")).toEqual([receipt.traceId]);
  });

  it("for a record that becomes a dead letter, with the reason and without its contents", async () => {
    const client = clientSpan();
    const source = { sourceId: "dead" };
    await ingest(client, [note("good", "secret-1", 1, source), note("", "secret-2", 1, source)]);
    const path = await traces.wholeWay(client);
    expect(path.flatMap(({ events }) => events)).toEqual([
      {
        name: "records.dead_lettered",
        attributes: { "chowhound.reason": "identity_missing", "chowhound.records": 1 },
      },
    ]);
    await mesh.untilDrained();
    expect(await mesh.books.query("select trace_id from dead_letters where source_id = 'dead'")).toEqual([
      { trace_id: client.traceId },
    ]);
    await traces.allSent();
    expect(JSON.stringify(receiver.spans)).not.toContain("secret");
  });

  it("for a record that the database refuses, told by the store", async () => {
    await refusing("poison", async () => {
      const client = clientSpan();
      const source = { sourceId: "refused" };
      await ingest(client, [note("good", "fine", 1, source), note("bad", "poison", 1, source)]);
      const path = await traces.wholeWay(client);
      const told = path.flatMap(({ name, events }) => events.map((event) => [name, event]));
      const attributes = { "chowhound.reason": "value_refused_by_database", "chowhound.records": 1 };
      expect(told).toEqual([["process chowhound-unique", { name: "records.dead_lettered", attributes }]]);
    });
  });

  it("for a replay, from the operator's span to the commit, with a link to where the record came from", async () => {
    const [producer, operator] = [clientSpan(), clientSpan()];
    const source = { sourceId: "replayed" };
    await refusing("poison", async () => {
      await ingest(producer, [note("a", "poison", 1, source), note("b", "poison", 1, source)]);
      await traces.wholeWay(producer);
    });
    await replay("replayed", operator);
    const path = await traces.wholeWay(operator, REPLAY_HOPS);
    expect(path[0]!.attributes).toMatchObject({
      "rpc.method": "chowhound.v1.DeadLetterService/ReplayDeadLetters",
      "chowhound.dead_letters.published": 2,
      "chowhound.replay.batches": 1,
      "chowhound.replay.batches_traced": 1,
    });
    expect(path[1]!.links).toEqual([{ traceId: producer.traceId, spanId: producer.spanId }]);
    expect(path.at(-2)!.attributes).toMatchObject({ "chowhound.records": 2 });
    await traces.allSent();
    expect(traces.spansOf(operator.traceId)).toHaveLength(path.length);
    expect(await traceIdsOf("replayed")).toEqual([operator.traceId]);
  });

  it("and a replay that is not sampled leaves a record its own trace id", async () => {
    const producer = clientSpan();
    await refusing("poison", async () => {
      await ingest(producer, [note("a", "poison", 1, { sourceId: "replayed-unseen" })]);
      await traces.wholeWay(producer);
    });
    const before = await traces.allSent();
    await replay("replayed-unseen", clientSpan("00"));
    expect(await traceIdsOf("replayed-unseen")).toEqual([producer.traceId]);
    expect(await traces.allSent()).toBe(before);
  });
});

describe("the gateway's span", () => {
  it("is there for queries, too, also for one that fails", async () => {
    const client = clientSpan();
    const transport = createGrpcTransport({ baseUrl: `http://${mesh.endpoints.grpc}` });
    const queries = createClient(QueryService, transport);
    const headers = headersOf(client);
    await queries.listRecords({ sourceType: "none" }, { headers });
    await queries.getRecord({}, { headers }).catch(() => {});
    await vi.waitFor(() => {
      const spans = traces
        .spansOf(client.traceId)
        .map(({ name, kind, isError }) => ({ name, kind, isError }));
      expect(spans).toEqual([
        { name: "chowhound.v1.QueryService/ListRecords", kind: KIND.server, isError: false },
        { name: "chowhound.v1.QueryService/GetRecord", kind: KIND.server, isError: true },
      ]);
    }, WAIT);
  });

  it("counts rejected records by reason", async () => {
    const client = clientSpan();
    const good = note("good", "fine", 1, { sourceId: "rejected" });
    await ingest(client, [good, { ...good, sourceType: "" }, { ...good, uuid: "x" }, { ...good, uuid: "y" }]);
    const [server] = await traces.wholeWay(client);
    expect(server!.isError).toBe(false);
    expect(server!.attributes).toMatchObject({
      "chowhound.records.accepted": 1,
      "chowhound.records.rejected": 3,
    });
    const rejected = server!.events.map(({ attributes }) => attributes);
    expect(rejected).toEqual([
      { "chowhound.reason": "missing_field", "chowhound.records": 1 },
      { "chowhound.reason": "invalid_uuid", "chowhound.records": 2 },
    ]);
  });

  it("tells why a call was refused", async () => {
    const client = clientSpan();
    await expect(ingest(client, [])).rejects.toMatchObject({ code: 3 });
    const [refused] = await traces.wholeWay(client, hops("Ingest").slice(0, 1));
    expect(refused!.isError).toBe(true);
    expect(refused!.attributes).toMatchObject({
      "error.type": "empty_batch",
      "rpc.status_code": "INVALID_ARGUMENT",
    });
  });
});

describe("no span at all", () => {
  it("comes of a call that is not sampled; its rows keep the trace id", async () => {
    const before = await traces.allSent();
    const client = clientSpan("00");
    await ingest(client, [note("a", "unseen", 1, { sourceId: "unsampled" })]);
    expect(await traceIdsOf("unsampled")).toEqual([client.traceId]);
    expect(await traces.allSent()).toBe(before);
  });

  it("comes of a call without a key, whatever it sends along", async () => {
    const before = await traces.allSent();
    const response = await fetch(`${mesh.endpoints.http}/chowhound.v1.IngestionService/Ingest`, {
      method: "POST",
      headers: {
        ...headersOf(clientSpan()),
        authorization: "Bearer chow_none",
        "content-type": "application/json",
      },
      body: "{}",
    });
    expect(response.status).toBe(401);
    expect(await traces.allSent()).toBe(before);
  });
});

it("a collector that is away holds up neither records nor the end of a process", async () => {
  await receiver.close();
  await ingest(clientSpan(), [note("a", "no collector", 1, { sourceId: "away" })]);
  expect(await traceIdsOf("away")).toHaveLength(1);
  const logs = mesh.processes.map(({ logFile }) => logFile);
  const startedMs = performance.now();
  await mesh.stop();
  expect(performance.now() - startedMs).toBeLessThan(8_000);
  const gateway = await readFile(logs.find((file) => file.endsWith("gateway.log"))!, "utf8");
  expect(gateway).toContain('"message":"the last spans and metrics could not be sent"');
  expect(gateway).toContain('"message":"drained"');
});
