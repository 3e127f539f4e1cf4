import { create, type JsonObject } from "@bufbuild/protobuf";
import { createKey } from "@chowhound/gateway/src/create-key.ts";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { QueryService } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { ErrorInfoSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { Client as PostgresClient } from "pg";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";

const WAIT = { timeout: 15_000, interval: 50 };
let mesh: MeshUnderTest;
let strangersKey: string;
beforeAll(async () => {
  mesh = await startMeshUnderTest();
  strangersKey = await createKey({ tenant: "stranger", file: mesh.keysFile });
}, 120_000);
afterAll(() => mesh.remove());

const DOORS: [name: string, make: () => Transport][] = [
  ["gRPC", () => createGrpcTransport({ baseUrl: `http://${mesh.endpoints.grpc}` })],
  [
    "JSON",
    () =>
      createConnectTransport({ baseUrl: mesh.endpoints.http, httpVersion: "1.1", useBinaryFormat: false }),
  ],
];

const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
const own = () => as(mesh.endpoints.key);
const keyOf = (dataId: string) => ({
  by: { case: "key" as const, value: { sourceType: "note", sourceId: "e2e", dataId } },
});

/** What a failed call said, all of it. */
async function failure(call: Promise<unknown>) {
  const error = await call.then(
    () => {
      throw new Error("the call succeeded");
    },
    (cause: unknown) => ConnectError.from(cause),
  );
  return {
    code: error.code,
    message: error.rawMessage,
    reason: error.findDetails(ErrorInfoSchema)[0]?.reason,
    details: error.details.length,
  };
}

describe.each(DOORS)("over %s", (door, makeTransport) => {
  let client: Client<typeof QueryService>;
  beforeAll(() => {
    client = createClient(QueryService, makeTransport());
  });

  it("a record comes back as it was pushed", async () => {
    const metadata: JsonObject = {
      "": [1e21, 5e-324, Number.MAX_VALUE, -1.5, 2 ** 53 + 2, { deep: [null, true, []] }],
      é: "\u{1f415}\ufeff",
    };
    const pushed = note(`whole-${door}`, "Grüße\n", 7, {
      metadata,
      metadataType: "note/1",
      lang: "de",
      attributes: { k: "v", a: "" },
      rawPayload: { content: Uint8Array.of(0, 255), contentType: "x/y" },
    });
    const { receiptId, acceptedAt, statuses } = await mesh.ingest([pushed]);
    await mesh.untilDrained();
    const key = keyOf(`whole-${door}`);
    const { record: landed } = await client.getRecord({ ...key, includeRawPayload: true }, own());
    const { tenantId } = landed!.record!;
    expect(landed!.record).toEqual(
      create(IngestionDataSchema, { ...pushed, tenantId, uuid: statuses[0]!.uuid }),
    );
    expect(landed).toMatchObject({ receiptId, acceptedAt, version: pushed.updatedAt, pipelineVersion: 0n });
    const byUuid = { by: { case: "uuid" as const, value: statuses[0]!.uuid }, includeRawPayload: true };
    expect((await client.getRecord(byUuid, own())).record).toEqual(landed);
  });

  it("a record of another tenant looks like none", async () => {
    const { statuses } = await mesh.ingest([note("mine", "secret")]);
    await mesh.untilDrained();
    await vi.waitFor(async () => {
      expect((await client.listRecords({}, as(strangersKey))).records).toEqual([]);
    }, WAIT);
    const none = await failure(client.getRecord(keyOf("nobody's"), as(strangersKey)));
    expect(none).toMatchObject({ code: Code.NotFound, reason: "record_not_found" });
    expect(await failure(client.getRecord(keyOf("mine"), as(strangersKey)))).toEqual(none);
    const byUuid = { by: { case: "uuid" as const, value: statuses[0]!.uuid } };
    expect(await failure(client.getRecord(byUuid, as(strangersKey)))).toEqual(none);
  });

  it("records are listed page by page", async () => {
    const source = { sourceType: "note", sourceId: `pages-${door}` };
    const ids = Array.from({ length: 25 }, (_, i) => `n${String(i).padStart(2, "0")}`);
    await mesh.ingest(ids.map((id) => note(id, "x", 1, source)));
    await mesh.untilDrained();
    const pages: string[][] = [];
    let pageToken = "";
    do {
      const page = await client.listRecords({ ...source, pageSize: 7, pageToken }, own());
      pages.push(page.records.map(({ record }) => record!.dataId));
      pageToken = page.nextPageToken;
      if (pages.length === 1)
        expect(await failure(client.listRecords({ ...source, pageToken }, as(strangersKey)))).toMatchObject({
          reason: "invalid_query",
          message: expect.stringContaining("page_token"),
        });
    } while (pageToken !== "");
    expect(pages.map((page) => page.length)).toEqual([7, 7, 7, 4]);
    expect(pages.flat()).toEqual(ids);
    const { records } = await client.listRecords({ ...source, pageSize: 1000 }, own());
    const since = records[0]!.storedAt!;
    expect((await client.listRecords({ ...source, storedSince: since }, own())).records).toHaveLength(25);
    expect((await client.listRecords({ ...source, storedBefore: since }, own())).records).toEqual([]);
  });

  it("a query that the database has no time for fails, and harms nothing else", async () => {
    const database = new PostgresClient({ connectionString: mesh.endpoints.postgresUrl });
    await database.connect();
    try {
      await database.query("begin; lock table records in access exclusive mode");
      expect(await failure(client.listRecords({}, own()))).toMatchObject({
        code: Code.DeadlineExceeded,
        reason: "query_too_slow",
      });
    } finally {
      await database.end();
    }
    await client.listRecords({}, own());
  });
});

it("a byte order mark comes back, too", async () => {
  const texts = { data: "\ufeffGrüße", metadata: { "\ufeffa": "\ufeff" } };
  const record = {
    sourceType: "note",
    sourceId: "marks",
    dataId: "1",
    updatedAt: "2026-01-01T00:00:00Z",
    ...texts,
  };
  const post = async (method: string, request: object) => {
    const headers = { "content-type": "application/json", ...own().headers };
    const body = JSON.stringify(request);
    return await (
      await fetch(`${mesh.endpoints.http}/chowhound.v1.${method}`, { method: "POST", headers, body })
    ).json();
  };
  await post("IngestionService/Ingest", { records: [record] });
  await mesh.untilDrained();
  const { sourceType, sourceId } = record;
  const page = await post("QueryService/ListRecords", { sourceType, sourceId });
  expect(page).toMatchObject({ records: [{ record: texts }] });
});

it("without a store records are accepted, and queries are told why they are not answered", async () => {
  const client = createClient(QueryService, DOORS[0]![1]());
  const { statuses } = await mesh.ingest([note("before", "x")]);
  await mesh.untilDrained();
  await mesh.process("store").stop();
  expect(await failure(client.getRecord(keyOf("before"), own()))).toMatchObject({
    code: Code.Unavailable,
    reason: "store_unavailable",
  });
  expect((await mesh.ingest([note("after", "x")])).accepted).toBe(statuses.length);
});
