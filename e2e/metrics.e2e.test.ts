import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createKey } from "@chowhound/gateway/src/create-key.ts";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { AdminService } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { DeadLetterService } from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { QueryService } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { natsNames } from "@chowhound/shared/stream/topology";
import {
  definitionOf,
  METRIC_NAMES,
  type MetricName,
  OTHER_TENANTS,
  SERVICES,
  type ServiceName,
} from "@chowhound/shared/telemetry/metric-registry";
import { prometheusName, prometheusNames } from "@chowhound/shared/telemetry/prometheus-names";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";
import { type OtlpReceiver, startOtlpReceiver } from "./otlp-receiver.ts";
import { parsePrometheusText, type Sample } from "./prometheus-text.ts";

const WAIT = { timeout: 20_000, interval: 200 };

let receiver: OtlpReceiver;
let mesh: MeshUnderTest;
/** What each service shows when all is landed. */
let scraped: Map<ServiceName, Sample[]>;

beforeAll(async () => {
  receiver = await startOtlpReceiver();
  mesh = await startMeshUnderTest({
    metrics: true,
    env: Object.fromEntries(
      SERVICES.map((service) => [
        service,
        {
          ...receiver.env,
          CHOWHOUND_METRICS_TENANTS: service === "gateway" ? "1" : "200",
          // Whatever a log can say.
          CHOWHOUND_LOG_LEVEL: "debug",
        },
      ]),
    ),
  });
  await ingestAll();
  scraped = await vi.waitFor(async () => {
    const all = new Map<ServiceName, Sample[]>();
    for (const service of SERVICES) all.set(service, await scrape(service));
    // Acknowledgements follow the commits; lag is looked up every two seconds at most.
    for (const stage of ["enricher", "dedup", "store"] as const)
      expect(total("chowhound_lag_unacknowledged", all.get(stage)!)).toBe(0);
    expect(total("chowhound_dead_letters_open", all.get("store")!)).toBe(1);
    return all;
  }, WAIT);
}, 120_000);
afterAll(async () => {
  await mesh?.remove();
  await receiver?.close();
});

/** local: 2 records stored, 2 rejected, 1 dead letter that dies again when replayed, 4 duplicates; umbrella: 1 stored, 1 stale; a stranger: refused. */
async function ingestAll(): Promise<void> {
  const good = [note("a", "one"), note("b", "two")];
  await mesh.ingest([...good, { ...note("c", "x"), sourceType: "" }, { ...note("d", "x"), uuid: "x" }]);
  await mesh.untilDrained();
  await mesh.ingest([note("", "dead")]);
  await mesh.untilDrained();
  await replayAll();
  const key = await createKey({ tenant: "umbrella", file: mesh.keysFile });
  await vi.waitFor(() => ingestAs(key, [note("a", "one", 5)]), WAIT);
  await mesh.untilDrained();
  await ingestAs(key, [note("a", "older", 4)]);
  // What the store has told dedup of, dedup drops when it comes again.
  await vi.waitFor(async () => {
    expect(total("chowhound_dedup_index_size", await scrape("dedup"))).toBe(4);
  }, WAIT);
  await mesh.ingest(good.map((record) => ({ ...record, uuid: randomUUID() })));
  // What is the same to the byte, the gateway does.
  await vi.waitFor(async () => {
    expect(total("chowhound_recall_size", await scrape("gateway"))).toBe(4);
  }, WAIT);
  await mesh.ingest(good);
  await expect(ingestAs("chow_none", good)).rejects.toThrow();
  await mesh.untilDrained();
}

async function replayAll(): Promise<void> {
  const transport = createGrpcTransport({ baseUrl: `http://${mesh.endpoints.admin.store}` });
  const selection = { by: { case: "all", value: true } } as const;
  const progress = createClient(DeadLetterService, transport).replayDeadLetters({ selection });
  for await (const _ of progress);
}

async function ingestAs(key: string, records: ReturnType<typeof note>[]): Promise<void> {
  const client = createGrpcClient(IngestionService, mesh.endpoints.grpc, { key });
  try {
    await client.calls.ingest({ records });
  } finally {
    client.close();
  }
}

async function scrape(service: ServiceName): Promise<Sample[]> {
  const response = await fetch(mesh.endpoints.metrics[service]!);
  expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
  return parsePrometheusText(await response.text());
}

/** The sum over all series of a name that have these labels. */
function total(name: string, samples: readonly Sample[], labels: Record<string, string> = {}): number {
  return samples
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}

const shown = (service: ServiceName, name: string, labels: Record<string, string> = {}): number =>
  total(name, scraped.get(service)!, labels);

const metricsOf = (service: ServiceName): MetricName[] =>
  METRIC_NAMES.filter((name) => definitionOf(name).services.includes(service));

describe.each(SERVICES)("%s", (service) => {
  it("shows exactly the series that the registry claims, with their labels", () => {
    const samples = scraped.get(service)!;
    const expected = metricsOf(service).flatMap((name) => prometheusNames(name, definitionOf(name)));
    expect([...new Set(samples.map(({ name }) => name))].sort()).toEqual([...expected, "target_info"].sort());
    for (const name of metricsOf(service)) {
      const definition = definitionOf(name);
      const keys = Object.keys(definition.attributes).map((key) => key.replaceAll(".", "_"));
      for (const series of prometheusNames(name, definition))
        for (const { labels } of samples.filter((sample) => sample.name === series))
          expect(
            Object.keys(labels)
              .filter((key) => key !== "le")
              .sort(),
          ).toEqual(keys.sort());
    }
  });

  it("sends the same by OTLP, from the process that GetStatus shows", async () => {
    const client = createGrpcClient(AdminService, mesh.endpoints.admin[service]!);
    const { instanceId, version } = await client.calls.getStatus({});
    client.close();
    await vi.waitFor(() => {
      const received = receiver.metrics.get(`chowhound-${service}`)!;
      expect(received.resource).toMatchObject({
        "service.instance.id": instanceId,
        "service.version": version,
      });
      expect([...received.metrics.keys()].sort()).toEqual([...metricsOf(service)].sort());
      for (const { name, unit, points } of received.metrics.values()) {
        const definition = definitionOf(name as MetricName);
        expect(unit).toBe(definition.unit);
        if (definition.kind === "gauge" || name === "process.cpu.time") continue;
        const base = prometheusName(name, definition);
        const total = points.reduce((sum, { value }) => sum + value, 0);
        expect([name, total]).toEqual([
          name,
          shown(service, definition.kind === "histogram" ? `${base}_count` : base),
        ]);
      }
    }, WAIT);
  });

  it("tells that it runs and has what it depends on", () => {
    expect(shown(service, "chowhound_service_state", { chowhound_state: "running" })).toBe(1);
    expect(shown(service, "chowhound_service_state")).toBe(1);
    const dependencies = scraped.get(service)!.filter(({ name }) => name === "chowhound_dependency_up");
    expect(dependencies.length).toBeGreaterThanOrEqual(2);
    expect(dependencies.map(({ value }) => value)).toEqual(dependencies.map(() => 1));
  });

  it("tells of its process", () => {
    const ageSeconds = Date.now() / 1000 - shown(service, "process_start_time_seconds");
    expect(ageSeconds).toBeGreaterThan(0);
    expect(ageSeconds).toBeLessThan(120);
    expect(shown(service, "process_memory_usage_bytes")).toBeGreaterThan(20e6);
    expect(shown(service, "process_cpu_time_seconds_total")).toBeGreaterThan(0.05);
    expect(shown(service, "nodejs_eventloop_utilization_ratio")).toBeLessThanOrEqual(1);
    expect(shown(service, "nodejs_eventloop_delay_max_seconds")).toBeGreaterThanOrEqual(
      shown(service, "nodejs_eventloop_delay_p50_seconds"),
    );
  });

  it("shows nothing elsewhere, and takes no writes", async () => {
    const url = mesh.endpoints.metrics[service]!;
    expect((await fetch(url.replace("/metrics", "/"))).status).toBe(404);
    expect((await fetch(url, { method: "POST" })).status).toBe(405);
  });
});

describe("the figures", () => {
  it("of the gateway are what was answered", () => {
    expect(shown("gateway", "chowhound_records_accepted_total", { chowhound_tenant_id: "local" })).toBe(7);
    const reasons = ["missing_field", "invalid_uuid"];
    for (const reason of reasons)
      expect(shown("gateway", "chowhound_records_rejected_total", { chowhound_reason: reason })).toBe(1);
    expect(shown("gateway", "chowhound_records_rejected_total")).toBe(2);
    expect(shown("gateway", "chowhound_calls_refused_total")).toBe(
      shown("gateway", "chowhound_calls_refused_total", { chowhound_reason: "unauthenticated" }),
    );
    expect(shown("gateway", "chowhound_calls_refused_total")).toBeGreaterThanOrEqual(1);
    expect(shown("gateway", "chowhound_call_duration_seconds_count")).toBe(6);
    expect(shown("gateway", "chowhound_in_flight_size_bytes")).toBe(0);
    expect(shown("gateway", "chowhound_in_flight_batches")).toBe(0);
  });

  it("of tenants beyond the bound are one", () => {
    const tenants = (service: ServiceName, name: string) =>
      new Set(
        scraped
          .get(service)!
          .filter((sample) => sample.name === name)
          .map(({ labels }) => labels.chowhound_tenant_id),
      );
    expect(tenants("gateway", "chowhound_records_accepted_total")).toEqual(new Set(["local", OTHER_TENANTS]));
    expect(tenants("store", "chowhound_records_verdicts_total")).toEqual(new Set(["local", "umbrella"]));
    expect(shown("gateway", "chowhound_records_accepted_total", { chowhound_tenant_id: OTHER_TENANTS })).toBe(
      2,
    );
  });

  it("of verdicts add up to what was accepted and replayed, and are those of the books", async () => {
    const accepted = shown("gateway", "chowhound_records_accepted_total");
    const replayed = shown("store", "chowhound_records_replayed_total");
    expect([accepted, replayed]).toEqual([9, 1]);
    expect(shown("store", "chowhound_records_verdicts_total")).toBe(accepted + replayed);
    const verdict = (tenant: string, name: string) =>
      shown("store", "chowhound_records_verdicts_total", {
        chowhound_tenant_id: tenant,
        chowhound_verdict: name,
      });
    const totals = await mesh.books.query<Record<string, string>>(
      `select tenant_id, sum(stored)::int as stored, sum(stale)::int as stale, sum(duplicate)::int as duplicate,
        sum(dead_lettered)::int as dead_lettered from totals group by 1 order by 1`,
    );
    expect(totals).toMatchObject([
      { tenant_id: "local", stored: 2, duplicate: 4, dead_lettered: 2 },
      { tenant_id: "umbrella", stored: 1, stale: 1 },
    ]);
    for (const { tenant_id, ...counts } of totals)
      for (const [name, count] of Object.entries(counts)) expect(verdict(tenant_id!, name)).toBe(count);
  });

  it("of dead letters have stage and reason", () => {
    const labels = { chowhound_stage: "enricher", chowhound_reason: "identity_missing" };
    expect(shown("store", "chowhound_dead_letters_total", labels)).toBe(2);
    expect(shown("store", "chowhound_dead_letters_total")).toBe(2);
    expect(shown("enricher", "chowhound_records_failed_total")).toBe(2);
  });

  it("of batches are the same at every stage, one in, one out", () => {
    for (const service of SERVICES) {
      // What is replayed doesn't pass the gateway.
      const [batches, records] = service === "gateway" ? [6, 9] : [7, 10];
      expect(shown(service, "chowhound_batch_records_count")).toBe(batches);
      expect(shown(service, "chowhound_batch_records_sum")).toBe(records);
      expect(shown(service, "chowhound_batch_size_bytes_count")).toBe(batches);
      expect(shown(service, "chowhound_batch_size_bytes_sum")).toBeGreaterThan(batches * 100);
      expect(shown(service, "messaging_client_operation_duration_seconds_count")).toBe(
        service === "store" ? 1 : batches,
      );
    }
    for (const service of ["enricher", "dedup", "store"] as const)
      expect(shown(service, "chowhound_redeliveries_total")).toBe(0);
  });

  it("of what the gateway has known are told", () => {
    expect(shown("gateway", "chowhound_recall_dropped_total")).toBe(2);
    expect(shown("gateway", "chowhound_recall_questions_total", { chowhound_outcome: "confirmed" })).toBe(1);
    expect(shown("gateway", "chowhound_recall_capacity")).toBe(1_000_000);
  });

  it("of dedup give its hit rate", () => {
    expect(shown("dedup", "chowhound_dedup_dropped_total")).toBe(2);
    expect(shown("dedup", "chowhound_dedup_passed_total")).toBe(6);
    expect(shown("dedup", "chowhound_dedup_candidates_total")).toBe(2);
    expect(shown("dedup", "chowhound_dedup_confirmations_total")).toBeGreaterThanOrEqual(1);
    expect(shown("dedup", "chowhound_dedup_index_capacity")).toBeGreaterThan(1_000_000);
  });

  it("of the way from acceptance to commit count every record, within its buckets", () => {
    const name = "chowhound_accept_to_commit_duration_seconds";
    expect(shown("store", `${name}_count`)).toBe(9);
    expect(shown("store", `${name}_bucket`, { le: "30" })).toBe(9);
    expect(shown("store", `${name}_bucket`, { le: "0.005" })).toBeLessThan(9);
    expect(shown("store", `${name}_sum`)).toBeGreaterThan(0);
    const writes = shown("store", "chowhound_write_duration_seconds_count");
    expect(writes).toBeGreaterThanOrEqual(1);
    expect(writes).toBeLessThanOrEqual(7);
    expect(shown("store", "db_client_operation_duration_seconds_count")).toBe(writes);
    const pool = "db_client_connection_pool_name";
    expect(shown("store", "db_client_connection_count", { [pool]: "writers" })).toBe(2);
    expect(shown("store", "db_client_connection_pending_requests", { [pool]: "readers" })).toBe(0);
  });

  it("of the connections that answer queries appear with the first query", async () => {
    const transport = createGrpcTransport({ baseUrl: `http://${mesh.endpoints.grpc}` });
    const headers = { authorization: `Bearer ${mesh.endpoints.key}` };
    await createClient(QueryService, transport).listRecords({}, { headers });
    await vi.waitFor(async () => {
      const labels = { db_client_connection_pool_name: "readers", db_client_connection_state: "idle" };
      expect(total("db_client_connection_count", await scrape("store"), labels)).toBe(1);
    }, WAIT);
  });

  it("of open dead letters are those that nobody has settled", async () => {
    await vi.waitFor(async () => {
      const samples = await scrape("store");
      expect(total("chowhound_dead_letters_open", samples, { chowhound_tenant_id: "local" })).toBe(1);
      expect(total("chowhound_dead_letters_open", samples)).toBe(1);
    }, WAIT);
  });

  it("of a stream say how full it is", async () => {
    for (const [stage, stream] of Object.entries({ enricher: "raw", dedup: "enriched", store: "unique" })) {
      const labels = { messaging_destination_name: `chowhound-${stream}` };
      expect(shown(stage as ServiceName, "chowhound_stream_fill_ratio", labels)).toBe(0);
      expect(
        scraped.get(stage as ServiceName)!.filter(({ name }) => name === "chowhound_stream_fill_ratio"),
      ).toHaveLength(1);
    }
  });

  it("of lag are back to 0, and grow while a stage is paused", async () => {
    const lag = (samples: readonly Sample[], what: string) => total(`chowhound_lag_${what}`, samples);
    for (const stage of ["enricher", "dedup", "store"] as const)
      for (const what of ["batches", "records", "unacknowledged", "age_seconds"])
        expect(lag(scraped.get(stage)!, what)).toBe(0);
    const client = createGrpcClient(AdminService, mesh.endpoints.admin.store!);
    try {
      await client.calls.pause({});
      // The fetch that is under way takes what comes within a second, and gives it back.
      await sleep(1_500);
      await mesh.ingest([note("late", "late")]);
      await vi.waitFor(async () => {
        const samples = await scrape("store");
        expect([lag(samples, "batches"), lag(samples, "records")]).toEqual([1, 1]);
        expect(lag(samples, "age_seconds")).toBeGreaterThan(1);
        expect(total("chowhound_stream_fill_ratio", samples)).toBeGreaterThan(0);
        expect(total("chowhound_service_state", samples, { chowhound_state: "paused" })).toBe(1);
      }, WAIT);
      const [status] = (await client.calls.getStatus({})).lag;
      expect(status).toMatchObject({ pendingBatches: 1n, pendingRecordsEstimate: 1n });
      expect(Number(status!.oldestAge!.seconds)).toBeGreaterThanOrEqual(1);
    } finally {
      await client.calls.resume({});
      client.close();
    }
    await mesh.untilDrained();
    await vi.waitFor(async () => expect(lag(await scrape("store"), "age_seconds")).toBe(0), WAIT);
  });
});

describe("what services log, at the level debug,", () => {
  const logOf = (service: string): Promise<string> => readFile(mesh.process(service).logFile, "utf8");

  it("tells of database errors and of batches that are none", async () => {
    await mesh.books.query(
      "alter table records add constraint refused check (data <> 'refused-text') not valid",
    );
    await mesh.ingest([note("refused", "refused-text"), note("beside", "beside-text")]);
    await mesh.untilDrained();
    await mesh.books.query("alter table records drop constraint refused");

    await mesh.books.query("alter table records rename to records_away");
    await mesh.ingest([note("away", "away-text")]);
    await vi.waitFor(
      async () => expect(await logOf("store")).toContain("writing failed, trying again"),
      WAIT,
    );
    await mesh.books.query("alter table records_away rename to records");
    await mesh.untilDrained();

    const nc = await connect({ servers: mesh.endpoints.natsUrl });
    const names = natsNames("chowhound");
    for (const stream of ["raw", "enriched", "unique"] as const)
      await jetstream(nc).publish(names.subject(stream, 0), '{"data":"junk-text"}');
    await nc.close();
    await mesh.untilDrained();
    expect(await logOf("enricher")).toContain("a message is no batch of a gateway");
    expect(await logOf("dedup")).toContain("passing on what is no batch");
    expect(await logOf("store")).toContain("a message is no batch of this mesh");
  });

  it.each(SERVICES)("holds neither records nor keys: %s", async (service) => {
    const log = await logOf(service);
    if (service !== "gateway") expect(log).toContain('"level":"debug"');
    expect(log).not.toContain(mesh.endpoints.key);
    const texts = ['"one"', '"dead"', "older", "refused-text", "beside-text", "away-text", "junk-text"];
    for (const text of texts) expect(log).not.toContain(text);
    // A database's URL has a password.
    expect(log).not.toMatch(/:\/\/[^\s"/@[]+@/);
  });
});
