import { createLogger } from "@chowhound/shared/runtime/logger";
import { freshDatabase } from "@chowhound/shared/testing/test-servers";
import fc from "fast-check";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { WriteResult } from "../../services/store/src/ingestion-writer.ts";
import { PostgresWriter } from "../../services/store/src/postgres-writer.ts";
import { VERDICTS } from "../../services/store/src/verdict.ts";
import { histories, live } from "./history.ts";
import { hex } from "./model-database.ts";
import type { ModelMesh } from "./model-mesh.ts";

const RUNS = 60;

let database: Awaited<ReturnType<typeof freshDatabase>>;
let client: Client;
let writers: PostgresWriter[];
beforeAll(async () => {
  database = await freshDatabase();
  client = new Client({ connectionString: database.url });
  await client.connect();
  writers = [0, 1].map(
    (lane) =>
      new PostgresWriter({
        url: database.url,
        statementTimeoutMs: 30_000,
        lane,
        log: createLogger("store", "error"),
      }),
  );
  for (const writer of writers) await writer.open();
});
afterAll(async () => {
  for (const writer of writers) await writer.close();
  await client.end();
  await database.drop();
});

/** What both databases say, in the same words. */
interface Statement {
  rows: unknown[];
  invoices: unknown[];
  deadLetters: string[];
  totals: Record<string, number>;
}

function statementOf({ database }: ModelMesh): Statement {
  const { rows, invoices, deadLetters, totals } = database.contents;
  return {
    rows: [...rows.values()]
      .map(({ record }) => ({
        tenant: record.tenantId,
        key: record.dataId,
        uuid: record.uuid,
        version: String(record.versionUs),
        data: record.landed().data.toString(),
        pipeline: String(record.pipelineVersion),
        batch: hex(record.batch.batchId),
      }))
      .sort(byText),
    invoices: [...invoices]
      .map(([batch, { accepted, verdicts }]) => ({ batch, accepted, ...verdicts }))
      .sort(byText),
    deadLetters: deadLetters.toSorted(),
    totals,
  };
}

async function readStatement(): Promise<Statement> {
  const query = async (text: string): Promise<Record<string, unknown>[]> => (await client.query(text)).rows;
  const numbers = ["accepted", ...VERDICTS];
  const rows = await query(`
    select tenant_id as tenant, data_id as key, encode(uuid_send(uuid), 'hex') as uuid, version_us as version, data,
      pipeline_version as pipeline, encode(uuid_send(batch_id), 'hex') as batch from records`);
  const invoices = await query(
    `select encode(uuid_send(batch_id), 'hex') as batch, ${numbers.join(", ")} from invoices`,
  );
  const dead = await query(
    "select encode(uuid_send(batch_id), 'hex') || '/' || ordinal as letter from dead_letters",
  );
  const [totals] = await query(
    `select ${[...numbers, "deleted"].map((name) => `coalesce(sum(${name}), 0)::int as ${name}`).join(", ")} from totals`,
  );
  return {
    rows: rows.sort(byText),
    invoices: invoices.sort(byText),
    deadLetters: dead.map(({ letter }) => String(letter)).sort(),
    totals: totals as Record<string, number>,
  };
}

function byText(a: object, b: object): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

/** What a write has told, but for what differs between two databases. */
function toldBy({ outcomes }: WriteResult): unknown[] {
  return outcomes.map((outcome) =>
    outcome.kind === "already_booked"
      ? outcome.kind
      : { verdicts: outcome.verdicts, committed: hex(outcome.committedFingerprints) },
  );
}

describe("the model's database", () => {
  it("is PostgreSQL's: the same transactions end in the same table and the same books", async () => {
    let transactions = 0;
    const property = fc.asyncProperty(histories({ isRestored: false }), async (history) => {
      const { mesh } = await live(history);
      await client.query("truncate records, invoices, totals, dead_letters");
      for (const { batches, result } of mesh.transactions) {
        const writer = writers[transactions++ % writers.length]!;
        expect(toldBy(await writer.write(batches))).toEqual(toldBy(result));
      }
      expect(await readStatement()).toEqual(statementOf(mesh));
    });
    await fc.assert(property, { numRuns: RUNS });
    expect(transactions).toBeGreaterThan(RUNS);
  }, 120_000);
});
