import {
  create,
  fromBinary,
  type JsonObject,
  type JsonValue,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import {
  GetRecordRequestSchema,
  GetRecordResponseSchema,
  type LandedRecord,
  ListRecordsRequestSchema,
  type ListRecordsResponse,
  ListRecordsResponseSchema,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { contentHash } from "@chowhound/shared/record/content-hash";
import { LIMITS } from "@chowhound/shared/record/limits";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";
import { structToJson } from "@chowhound/shared/record/struct-json";
import { formatUuid } from "@chowhound/shared/record/uuid";
import { type SampleRecord, sampleBatch } from "@chowhound/shared/testing/sample-batches";
import fc from "fast-check";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { openTestDatabase, type TestDatabase } from "./database-for-test.ts";
import { PostgresReader } from "./postgres-reader.ts";
import type { PostgresWriter } from "./postgres-writer.ts";
import { openTestProxy } from "./proxy-for-test.ts";

const MAX_BYTES = 1024 ** 2;
let database: TestDatabase;
let client: Client;
let writer: PostgresWriter;
let reader: PostgresReader;

beforeAll(async () => {
  database = await openTestDatabase();
  ({
    client,
    writers: [writer],
  } = database);
  reader = new PostgresReader({ ...database.options, connections: 2 });
});
afterAll(async () => {
  await reader.close();
  await database.drop();
});
beforeEach(() => database.empty());

async function land(...records: SampleRecord[]): Promise<RecordBatch> {
  const batch = sampleBatch({ records });
  await writer.write([batch]);
  return batch;
}

async function getBytes(
  by: MessageInitShape<typeof GetRecordRequestSchema>,
  tenantId = "acme",
  maxBytes = MAX_BYTES,
  from = reader,
) {
  return await from.getRecord(tenantId, create(GetRecordRequestSchema, by), maxBytes);
}

async function get(...question: Parameters<typeof getBytes>): Promise<LandedRecord> {
  return fromBinary(GetRecordResponseSchema, await getBytes(...question)).record!;
}

async function list(
  request: MessageInitShape<typeof ListRecordsRequestSchema>,
  maxBytes = MAX_BYTES,
): Promise<ListRecordsResponse> {
  const bytes = await reader.listRecords("acme", create(ListRecordsRequestSchema, request), maxBytes);
  expect(bytes.length).toBeLessThanOrEqual(maxBytes);
  return fromBinary(ListRecordsResponseSchema, bytes);
}

/** All pages, each as the keys on it. */
async function listAll(
  request: MessageInitShape<typeof ListRecordsRequestSchema>,
  { maxBytes = MAX_BYTES, betweenPages = async (_page: number) => {} } = {},
): Promise<string[][]> {
  const pages: string[][] = [];
  let pageToken = "";
  do {
    const page = await list({ ...request, pageToken }, maxBytes);
    pages.push(
      page.records.map(({ record }) => [record!.sourceType, record!.sourceId, record!.dataId].join("/")),
    );
    pageToken = page.nextPageToken;
    await betweenPages(pages.length);
  } while (pageToken !== "");
  return pages;
}

const keyOf = (dataId: string) => ({
  by: { case: "key" as const, value: { sourceType: "forum", sourceId: "town-square", dataId } },
});
const byUuid = (value: string) => ({ by: { case: "uuid" as const, value } });

describe("getRecord", () => {
  it("finds a record by its key and by its uuid, with what is known about it", async () => {
    const updatedAtUs = Date.UTC(1969, 0, 1) * 1000 + 123_456;
    const batch = sampleBatch({
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      records: [
        {
          dataId: "one",
          updatedAtUs,
          pipelineVersion: 7,
          metadata: { a: [1, null] },
          attributes: { k: "v" },
        },
      ],
    });
    await writer.write([batch]);
    const found = await get(keyOf("one"));
    expect(found).toMatchObject({
      record: {
        tenantId: "acme",
        sourceType: "forum",
        sourceId: "town-square",
        dataId: "one",
        uuid: formatUuid(batch.uuids),
        data: "Good morning.",
        metadata: { a: [1, null] },
        attributes: { k: "v" },
        updatedAt: { seconds: -31_536_000n, nanos: 123_456_000 },
      },
      version: { seconds: -31_536_000n, nanos: 123_456_000 },
      pipelineVersion: 7n,
      receiptId: formatUuid(batch.calls[0]!.receiptId),
      traceId: "0af7651916cd43dd8448eb211c80319c",
    });
    const acceptedAt = found.acceptedAt!;
    expect(acceptedAt.seconds * 1_000_000n + BigInt(acceptedAt.nanos / 1000)).toBe(batch.acceptedAtUs);
    expect(Math.abs(Number(found.storedAt!.seconds) - Date.now() / 1000)).toBeLessThan(30);
    expect(found.record!.createdAt).toBeUndefined();
    expect(await get(byUuid(found.record!.uuid.toUpperCase()))).toEqual(found);
  });

  it("returns the raw payload where it is asked for", async () => {
    const rawPayload = { content: Uint8Array.of(0, 255), contentType: "application/octet-stream" };
    await land({ dataId: "one", rawPayload }, { dataId: "two" });
    expect((await get(keyOf("one"))).record!.rawPayload).toBeUndefined();
    expect((await get({ ...keyOf("one"), includeRawPayload: true })).record!.rawPayload).toMatchObject(
      rawPayload,
    );
    expect((await get({ ...keyOf("two"), includeRawPayload: true })).record!.rawPayload).toBeUndefined();
    const { records } = await list({ includeRawPayload: true });
    expect(records.map(({ record }) => record!.rawPayload?.contentType)).toEqual([
      rawPayload.contentType,
      undefined,
    ]);
  });

  it("doesn't find what is not there, or is another tenant's", async () => {
    const batch = await land({ dataId: "one" });
    const questions = [keyOf("two"), keyOf("ONE"), byUuid("1b4e28ba-2fa1-41d2-883f-0016d3cca427")];
    for (const question of questions)
      await expect(get(question)).rejects.toMatchObject({ reason: "record_not_found" });
    for (const question of [keyOf("one"), byUuid(formatUuid(batch.uuids))])
      await expect(get(question, "umbrella")).rejects.toMatchObject({ reason: "record_not_found" });
  });

  it("says so where one record is larger than a message", async () => {
    await land({ dataId: "one", rawPayload: { content: Buffer.alloc(5_000), contentType: "x/y" } });
    const question = keyOf("one");
    const tooLarge = { reason: "answer_too_large", message: expect.stringContaining('"town-square","one"') };
    await expect(get({ ...question, includeRawPayload: true }, "acme", 5_000)).rejects.toMatchObject(
      tooLarge,
    );
    expect((await get(question, "acme", 5_000)).record!.dataId).toBe("one");
    const zeros = `{"a":[${"0,".repeat(120_000)}0]}`;
    await land({ dataId: "one", updatedAtUs: Date.now() * 1000 + 1e6, enrichment: { metadataJson: zeros } });
    await expect(get(question)).rejects.toMatchObject(tooLarge);
    await expect(list({})).rejects.toMatchObject(tooLarge);
  });
});

describe("what was pushed comes back equal", () => {
  const text = fc.string({ unit: "binary", maxLength: 8 }).map((value) => value.replaceAll("\0", "-"));
  const key = fc.oneof(fc.constantFrom("", "a", "é", "__proto__", "constructor", "10", "\ufeff"), text);
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(-0, 5e-324, Number.MAX_VALUE, 2 ** 53 + 2, 0.1 + 0.2, 1e21, 1e-7),
  );
  const { object } = fc.letrec<{ value: JsonValue; object: JsonObject }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.constant(null),
      fc.boolean(),
      number,
      text,
      fc.array(tie("value"), { maxLength: 4 }),
      tie("object"),
    ),
    // fromEntries, for "__proto__" to be a key like any other.
    object: fc
      .array(fc.tuple(key, tie("value")), { maxLength: 4 })
      .map((entries) => Object.fromEntries(entries) as JsonObject),
  }));

  /** What the content hash covers, of an encoded record. */
  const contentOf = (record: Uint8Array): string => {
    const view = new RecordView().read(record);
    return Buffer.from(contentHash(view)).toString("hex");
  };

  it("as its producer sent it", async () => {
    const sample = fc.record({
      data: text.map((value) => `.${value}`),
      metadata: object.filter((json) => !JSON.stringify(json).includes("__proto__")),
      metadataType: fc.constantFrom("", "scan/1"),
      lang: fc.constantFrom("", "de"),
      attributes: fc.dictionary(fc.constantFrom("a", "constructor", "é"), text, { noNullPrototype: true }),
      rawPayload: fc.record({ content: fc.uint8Array(), contentType: fc.constantFrom("", "x/y") }),
    });
    await fc.assert(
      fc.asyncProperty(sample, async (record) => {
        const batch = await land(record);
        const bytes = await getBytes({ ...byUuid(formatUuid(batch.uuids)), includeRawPayload: true });
        const original = Buffer.from(batch.originals[0]!);
        expect(contentOf(landedBytes(bytes))).toBe(contentOf(original));
      }),
      { numRuns: 100 },
    );
  });

  it("as its pipeline made it", async () => {
    await fc.assert(
      fc.asyncProperty(object, async (metadata) => {
        const metadataJson = JSON.stringify(metadata);
        const batch = await land({ enrichment: { metadataJson } });
        const bytes = await getBytes(byUuid(formatUuid(batch.uuids)));
        const struct = new RecordView().read(landedBytes(bytes)).slice(RECORD_FIELD.metadata);
        expect(JSON.parse(structToJson(struct, LIMITS.metadataDepth))).toEqual(JSON.parse(metadataJson));
      }),
      { numRuns: 100 },
    );
  });

  it("also with the deepest metadata", async () => {
    let metadata: JsonObject = {};
    for (let depth = 1; depth < LIMITS.metadataDepth; depth++) metadata = { a: metadata };
    await land({ dataId: "deep", metadata });
    expect((await get(keyOf("deep"))).record!.metadata).toEqual(metadata);
  });
});

/** The record's own bytes: those that a client's library reads, whatever it makes of them. */
function landedBytes(response: Uint8Array): Buffer {
  const inner = (bytes: Buffer): Buffer => {
    let at = 1;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) return bytes.subarray(at, at + length);
    }
  };
  return inner(inner(Buffer.from(response)));
}

describe("listRecords", () => {
  it("lists every record of the tenant once, in bytewise order, whatever the page size", async () => {
    const name = fc.constantFrom("a", "B", "ä", "ab", "a b", "\u{1f415}", "\uffff", "z");
    const keys = fc.uniqueArray(fc.tuple(name, name, name), {
      selector: (key) => key.join("/"),
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(keys, fc.integer({ min: 1, max: 40 }), async (keys, pageSize) => {
        await client.query("truncate records, invoices, totals, dead_letters");
        const records = keys.map(([sourceType, sourceId, dataId]) => ({ sourceType, sourceId, dataId }));
        await land({ tenantId: "acm" }, { tenantId: "acmf" }, ...records);
        const bytewise = (a: string[], b: string[]): number =>
          a
            .map((part, i) => Buffer.compare(Buffer.from(part), Buffer.from(b[i]!)))
            .find((order) => order !== 0) ?? 0;
        const pages = await listAll({ pageSize });
        expect(pages.flat()).toEqual(keys.toSorted(bytewise).map((key) => key.join("/")));
        expect(pages.slice(0, -1).every((page) => page.length === pageSize)).toBe(true);
        expect(pages).toHaveLength(Math.max(1, Math.ceil(keys.length / pageSize)));
      }),
      { numRuns: 40 },
    );
  });

  it("has 100 records on a page where nothing else is asked for", async () => {
    await land(...Array.from({ length: 101 }, () => ({})));
    expect((await listAll({})).map((page) => page.length)).toEqual([100, 1]);
  });

  it("neither skips nor doubles what is there all the time while others come, change and go", async () => {
    const staying = Array.from({ length: 50 }, (_, i) => ({ dataId: `s${String(i).padStart(2, "0")}` }));
    await land(...staying);
    const pages = await listAll(
      { pageSize: 7 },
      {
        betweenPages: async (page) => {
          const changed = staying.map(({ dataId }) => ({
            dataId,
            data: `${page}`,
            updatedAtUs: Date.now() * 1000,
          }));
          await land(...changed, { dataId: `a${page}` }, { dataId: `s${page}x` }, { dataId: `z${page}` });
          await client.query("delete from records where data_id = $1", [`s${page - 1}x`]);
        },
      },
    );
    const seen = pages.flat().filter((key) => /s\d\d$/.test(key));
    expect(seen).toEqual(staying.map(({ dataId }) => `forum/town-square/${dataId}`));
  });

  it("ends a page early where its records are large", async () => {
    const data = "x".repeat(10_000);
    await land(...Array.from({ length: 40 }, (_, i) => ({ data, dataId: `${i}`.padStart(2, "0") })));
    const pages = await listAll({ pageSize: 1_000 }, { maxBytes: 64 * 1024 });
    expect(pages.map((page) => page.length)).toEqual([5, 5, 5, 5, 5, 5, 5, 5]);
    expect(pages.flat()).toHaveLength(40);
  });

  it("lists one kind of source, or one source", async () => {
    const sources = [
      ["a", "x"],
      ["a", "y"],
      ["b", "x"],
      ["a%", "x"],
    ] as const;
    await land(...sources.map(([sourceType, sourceId]) => ({ sourceType, sourceId, dataId: "1" })));
    expect(await listAll({ sourceType: "a", pageSize: 1 })).toEqual([["a/x/1"], ["a/y/1"]]);
    expect(await listAll({ sourceType: "a", sourceId: "y" })).toEqual([["a/y/1"]]);
    expect(await listAll({ sourceType: "c" })).toEqual([[]]);
  });

  it("lists what was committed in a time: its beginning is part of it, its end is not", async () => {
    await land({ dataId: "1" }, { dataId: "2" }, { dataId: "3" });
    const time = (second: number): Date => new Date(Date.UTC(2026, 0, 1, 0, 0, second));
    for (const n of [1, 2, 3])
      await client.query("update records set stored_at = $2 where data_id = $1", [`${n}`, time(n)]);
    const ids = async (since?: Date, before?: Date): Promise<string> => {
      const times = {
        ...(since && { storedSince: timestampFromDate(since) }),
        ...(before && { storedBefore: timestampFromDate(before) }),
      };
      return (await listAll({ ...times, pageSize: 1 }))
        .flat()
        .map((key) => key.at(-1))
        .join("");
    };
    expect(await ids(time(2))).toBe("23");
    expect(await ids(undefined, time(2))).toBe("1");
    expect(await ids(time(1), time(3))).toBe("12");
    expect(await ids(new Date(time(2).getTime() + 1))).toBe("3");
    const aNanosecondLater = { seconds: BigInt(time(2).getTime() / 1000), nanos: 1 };
    expect((await listAll({ storedSince: aNanosecondLater })).flat()).toHaveLength(1);
    expect((await listAll({ storedBefore: aNanosecondLater })).flat()).toHaveLength(2);
  });
});

describe("trouble", () => {
  it("gives up on what takes too long, says how to ask for less, and goes on", async () => {
    await land({ dataId: "one" });
    await client.query("begin; lock table records in access exclusive mode");
    const tooSlow = { reason: "query_too_slow", message: expect.stringContaining("stored_since") };
    try {
      await Promise.all([
        expect(get(keyOf("one"))).rejects.toMatchObject(tooSlow),
        expect(list({})).rejects.toMatchObject(tooSlow),
      ]);
    } finally {
      await client.query("rollback");
    }
    expect((await get(keyOf("one"))).record!.dataId).toBe("one");
  });

  it("says so while the database can't be reached, and reads again when it can", async () => {
    await land({ dataId: "one" });
    await get(keyOf("one"));
    const name = new URL(database.options.url).pathname.slice(1);
    const admin = new Client({
      connectionString: Object.assign(new URL(database.options.url), { pathname: "/postgres" }).href,
    });
    await admin.connect();
    await admin.query(`alter database ${name} allow_connections false`);
    await admin.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'chowhound-store-query' and datname = $1",
      [name],
    );
    await expect(get(keyOf("one"))).rejects.toMatchObject({ reason: "store_unavailable" });
    await admin.query(`alter database ${name} allow_connections true`);
    await admin.end();
    expect((await get(keyOf("one"))).record!.dataId).toBe("one");
  });

  it("says so where a connection breaks in the midst of an answer, and goes on", async () => {
    await land({ dataId: "one" });
    const proxy = await openTestProxy(database.options.url);
    const behind = new PostgresReader({ ...database.options, url: proxy.url, connections: 1 });
    await client.query("begin; lock table records in access exclusive mode");
    try {
      const asked = expect(get(keyOf("one"), undefined, undefined, behind)).rejects.toMatchObject({
        reason: "store_unavailable",
      });
      await vi.waitFor(async () => {
        await client.query("select pg_stat_clear_snapshot()");
        const { rows } = await client.query(
          "select from pg_stat_activity where application_name = 'chowhound-store-query' and wait_event_type = 'Lock'",
        );
        expect(rows).toHaveLength(1);
      });
      proxy.cut();
      await asked;
    } finally {
      await client.query("rollback");
    }
    expect((await get(keyOf("one"), undefined, undefined, behind)).record!.dataId).toBe("one");
    await behind.close();
    await proxy.close();
  });

  it("leaves no transaction open behind it", async () => {
    await expect(get(keyOf("none"))).rejects.toThrow();
    await list({ pageSize: 1 });
    const { rows } = await client.query(
      "select state from pg_stat_activity where application_name = 'chowhound-store-query' and datname = current_database()",
    );
    expect(new Set(rows.map(({ state }) => state))).toEqual(new Set(["idle"]));
  });
});
