import type { MessageInitShape } from "@bufbuild/protobuf";
import type { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import {
  PipelineService,
  type PipelineTestResult,
} from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { BadRequestSchema, ErrorInfoSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import { LIMITS } from "@chowhound/shared/record/limits";
import { parseUuid, uuidV7Us } from "@chowhound/shared/record/uuid";
import { bind, closeServer } from "@chowhound/shared/rpc/admin-server";
import { grpcServiceDefinition } from "@chowhound/shared/rpc/grpc-service";
import { readConfig } from "@chowhound/shared/runtime/config";
import { ensureStream, natsNames } from "@chowhound/shared/stream/topology";
import { type RunningService, startService } from "@chowhound/shared/testing/service-runtime";
import { freshPrefix } from "@chowhound/shared/testing/test-servers";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Server } from "@grpc/grpc-js";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { settings } from "./config.ts";
import { definitionOf } from "./pipeline-for-test.ts";
import { createEnricher } from "./service.ts";

type Sample = MessageInitShape<typeof IngestionDataSchema>;

const prefix = freshPrefix();
const names = natsNames(prefix);
let nc: NatsConnection;
let enricher: RunningService;
let server: Server;
let pipelines: Client<typeof PipelineService>;

beforeAll(async () => {
  nc = await connect({ servers: new URL(inject("natsUrl")).host });
  await ensureStream(nc, names, "raw", { maxBytes: 64 * 1024 ** 2, replicas: 1 });
  const config = readConfig(settings, {
    CHOWHOUND_NATS_URL: inject("natsUrl"),
    CHOWHOUND_NATS_PREFIX: prefix,
    CHOWHOUND_STREAM_MAX_BYTES: "64MiB",
  });
  enricher = await startService("enricher", (runtime) => createEnricher(config, runtime));
  server = new Server();
  for (const { service, handlers } of enricher.service.adminServices ?? [])
    server.addService(grpcServiceDefinition(service), handlers);
  const port = await bind(server, "127.0.0.1", 0);
  pipelines = createClient(PipelineService, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }));
});

afterAll(async () => {
  await closeServer(server, 100);
  await enricher.drain();
  const jsm = await jetstreamManager(nc);
  for await (const { config } of jsm.streams.list())
    if (config.name.includes(prefix)) await jsm.streams.delete(config.name);
  await nc.close();
});

const post = (more: Sample = {}): Sample => ({
  sourceType: "forum",
  sourceId: "town-square",
  dataId: "post-1",
  data: "Good morning.",
  ...more,
});

async function trying(definition: string, ...records: Sample[]): Promise<PipelineTestResult[]> {
  return (await pipelines.testPipeline({ definition, records })).results;
}

async function refusal(call: Promise<unknown>) {
  const error = await call.then(() => expect.fail("was accepted"), ConnectError.from);
  const [info] = error.findDetails(ErrorInfoSchema);
  const fields = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return { code: error.code, reason: info?.reason, fields: fields.map(({ field }) => field) };
}

describe("a definition", () => {
  test("shows each sample as it would be landed, and what has changed on it", async () => {
    const definition = definitionOf(`
      - derive_identity: { from: [metadata.name, metadata.version] }
      - map: { metadata.title: 'metadata.name + "!"', attributes.state: '"new"' }
      - redact: { detect: [email], in: [data], drop_raw_payload: true }
      - set: { values: { lang: en, metadata_type: post/1 } }`);
    const times = { createdAt: { seconds: -1n, nanos: 500_000 }, updatedAt: { seconds: 5n, nanos: 7_999 } };
    const rawPayload = { content: Buffer.from("raw"), contentType: "text/plain" };
    const metadata = { version: "1", name: "chow", nested: { list: [1, null, "x"] } };
    const uuid = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
    const [result] = await trying(
      definition,
      post({ uuid, dataId: "", data: "by ann@example.org", metadata, rawPayload, ...times, lang: "en" }),
    );
    expect(result).toMatchObject({
      outcome: "enriched",
      record: {
        uuid,
        tenantId: "acme",
        sourceType: "forum",
        sourceId: "town-square",
        dataId: "chow:1",
        data: "by [redacted]",
        metadata: { ...metadata, title: "chow!" },
        metadataType: "post/1",
        lang: "en",
        attributes: { state: "new" },
        createdAt: times.createdAt,
        // The store keeps microseconds.
        updatedAt: { seconds: 5n, nanos: 7_000 },
      },
      changedFields: ["data_id", "data", "metadata", "metadata_type", "attributes", "raw_payload"],
      pipelineTenantId: "acme",
      pipelineSourceType: "forum",
      pipelineVersion: 0n,
    });
    expect(result!.record!.rawPayload).toBeUndefined();
  });

  test("processes samples of any source type, and changes what it changes only", async () => {
    const definition = definitionOf("- set: { values: { lang: en } }", { tenant: "acme" });
    const rawPayload = { content: Buffer.from([0, 255]), contentType: "text/csv" };
    const results = await trying(definition, post({ sourceType: "chat" }), post({ lang: "en", rawPayload }));
    expect(results.map(({ changedFields }) => changedFields)).toEqual([["lang"], []]);
    expect(results[0]!.record).toMatchObject({ sourceType: "chat", lang: "en" });
    expect(Buffer.from(results[1]!.record!.rawPayload!.content)).toEqual(rawPayload.content);
    expect(results[1]!.record!.metadata).toBeUndefined();
  });

  test("tells of each sample apart: what a step lets die, what the door rejects, what passes", async () => {
    const definition = definitionOf("- require: { fields: [metadata.name] }");
    const results = await trying(
      definition,
      post({ data: "secret" }),
      post({ sourceType: "" }),
      post({ tenantId: "globex" }),
      post({ metadata: { name: "ann" } }),
    );
    expect(results).toMatchObject([
      {
        outcome: "dead_lettered",
        reason: "required_field_missing",
        detail: "0:require: metadata.name is missing",
        pipelineTenantId: "acme",
      },
      {
        outcome: "rejected",
        reason: "missing_field",
        field: "source_type",
        detail: "source_type is required; set it",
        pipelineTenantId: "",
      },
      { outcome: "rejected", reason: "tenant_mismatch", field: "tenant_id" },
      { outcome: "enriched", changedFields: [] },
    ]);
    expect(results.map(({ record }) => record === undefined)).toEqual([true, true, true, false]);
  });

  test("that writes what the gateway would refuse makes dead letters, as it will in earnest", async () => {
    const [bad] = await trying(definitionOf("- set: { values: { lang: '?' } }"), post());
    expect(bad).toMatchObject({ outcome: "dead_lettered", reason: "enriched_field_invalid" });
  });

  test("that is invalid is refused as ApplyPipeline refuses it", async () => {
    const definition = definitionOf("- teleport: {}");
    const expected = await refusal(pipelines.applyPipeline({ definition }));
    expect(expected.reason).toBe("pipeline_invalid");
    expect(await refusal(trying(definition, post()))).toEqual(expected);
  });
});

test("a sample that ends the process in which it is tried harms neither its neighbours nor the enricher", async () => {
  const definition = definitionOf(
    `- map: { attributes.joined: 'string(size(metadata.list.map(x, data).join("")))' }`,
  );
  const killer = post({ data: "x".repeat(400_000), metadata: { list: Array(1_000).fill(0) } });
  const results = await trying(
    definition,
    post({ metadata: { list: [1] } }),
    killer,
    post({ metadata: { list: [] } }),
  );
  expect(results).toMatchObject([
    { outcome: "enriched" },
    { outcome: "dead_lettered", reason: "kills_process" },
    { outcome: "enriched" },
  ]);
  expect((await trying(definition, post({ metadata: { list: [] } })))[0]).toMatchObject({
    outcome: "enriched",
  });
}, 60_000);

describe("the pipelines in force", () => {
  test("process each tenant's samples by its own, and nothing is written", async () => {
    const apply = async (tenant: string, lang: string) => {
      const definition = definitionOf(`- set: { values: { lang: ${lang} } }`, { tenant });
      return (await pipelines.applyPipeline({ definition })).pipeline!.version;
    };
    const versions = { acme: await apply("acme", "de"), all: await apply("*", "fr") };
    const test = async (tenantId: string) =>
      (await pipelines.testPipeline({ tenantId, records: [post(), post({ sourceType: "chat" })] })).results;
    const none = { pipelineTenantId: "", pipelineSourceType: "", pipelineVersion: 0n, record: { lang: "" } };
    const by = (pipelineTenantId: string, lang: string, pipelineVersion: bigint) => ({
      pipelineTenantId,
      pipelineSourceType: "forum",
      pipelineVersion,
      record: { lang },
    });
    expect(await test("acme")).toMatchObject([by("acme", "de", versions.acme), none]);
    expect(await test("globex")).toMatchObject([by("*", "fr", versions.all), none]);
    // A definition goes before them all, and is not put in force by being tried.
    const definition = definitionOf("- set: { values: { lang: es } }");
    expect(await trying(definition, post())).toMatchObject([by("acme", "es", 0n)]);
    expect(await test("acme")).toMatchObject([by("acme", "de", versions.acme), none]);
    const jsm = await jetstreamManager(nc);
    for (const role of ["raw", "enriched"] as const)
      expect((await jsm.streams.info(names.stream(role))).state.last_seq).toBe(0);
    expect(enricher.meter.batches).toBe(0);
  });
});

describe("samples", () => {
  test("get what they lack: a uuid of their own, which has a time", async () => {
    const [one, two] = await trying(definitionOf("- require: { fields: [uuid] }"), post(), post());
    const uuids = [one, two].map((result) => parseUuid(result!.record!.uuid)!);
    expect(uuids[0]).not.toEqual(uuids[1]);
    for (const uuid of uuids) expect(Math.abs(Date.now() - uuidV7Us(uuid)! / 1_000)).toBeLessThan(10_000);
    expect(one!.record!.updatedAt).toBeUndefined();
  });

  test.each<[string, string, Parameters<typeof pipelines.testPipeline>[0], string]>([
    ["none", "empty_batch", { tenantId: "acme" }, "records"],
    ["too many", "too_many_records", { tenantId: "acme", records: Array(101).fill(post()) }, "records"],
    [
      "too large",
      "call_too_large",
      { tenantId: "acme", records: Array(3).fill(post({ data: "x".repeat(400_000) })) },
      "records",
    ],
    ["of no tenant", "pipeline_test_invalid", { records: [post()] }, "tenant_id"],
    ["of what is no tenant", "pipeline_test_invalid", { tenantId: "*", records: [post()] }, "tenant_id"],
    [
      "of another tenant than the definition",
      "pipeline_test_invalid",
      { definition: definitionOf("- require: { fields: [uuid] }"), tenantId: "globex", records: [post()] },
      "tenant_id",
    ],
    [
      "of no tenant for a definition for all",
      "pipeline_test_invalid",
      { definition: definitionOf("- require: { fields: [uuid] }", { tenant: "*" }), records: [post()] },
      "tenant_id",
    ],
  ])("that are %s are refused: %s", async (_, reason, request, field) => {
    expect(await refusal(pipelines.testPipeline(request))).toMatchObject({ reason, fields: [field] });
  });

  test("whose results would fill the answer are refused", async () => {
    const growing = definitionOf(
      "- map: { metadata.copy: 'data + data + data + data + data + data + data + data' }",
    );
    const records = Array(50).fill(post({ data: "x".repeat(15_000) }));
    const { code, reason } = await refusal(trying(growing, ...records));
    expect([code, reason]).toEqual([Code.ResourceExhausted, "call_too_large"]);
  });

  test("a hundred of a definition for all tenants", async () => {
    const definition = definitionOf("- set: { values: { lang: en } }", { tenant: "*" });
    const records = Array.from({ length: 100 }, (_, n) => post({ dataId: `post-${n}` }));
    const { results } = await pipelines.testPipeline({ definition, tenantId: "globex", records });
    expect(results.map(({ record }) => record?.dataId)).toEqual(records.map(({ dataId }) => dataId));
    expect(results[0]).toMatchObject({ record: { tenantId: "globex" }, pipelineTenantId: "*" });
  });

  test("longer than the door takes are rejected one by one", async () => {
    const long = "x".repeat(LIMITS.sourceIdBytes + 1);
    const results = await trying(
      definitionOf("- require: { fields: [uuid] }"),
      post({ sourceId: long }),
      post(),
    );
    expect(results).toMatchObject([
      { outcome: "rejected", reason: "field_too_long", field: "source_id" },
      { outcome: "enriched" },
    ]);
  });
});
