import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { auditBooks } from "@chowhound/local/audit";
import { AdminService } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import {
  type TailRequestSchema,
  type TailResponse,
  type TappedRecord,
  TapService,
} from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import { openPausedTail } from "@chowhound/shared/testing/paused-tail";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";

const WAIT = { timeout: 20_000, interval: 50 };
const STAGES = ["gateway", "enricher", "dedup", "store"] as const;
type Stage = (typeof STAGES)[number];

let mesh: MeshUnderTest;
/** All that the gateway has accepted. */
let accepted = 0;
beforeAll(async () => {
  mesh = await startMeshUnderTest();
}, 120_000);
afterAll(() => mesh.remove());

const transportOf = (stage: Stage) =>
  createGrpcTransport({ baseUrl: `http://${mesh.endpoints.admin[stage]!}` });

async function push(...records: Parameters<MeshUnderTest["ingest"]>[0]): Promise<void> {
  accepted += (await mesh.ingestUntilAccepted(records)).accepted;
}

/** What a tap shows from now on. */
interface Watched {
  records: TappedRecord[];
  skipped: number;
  /** Settles when the process ends the call, or the test leaves. */
  over: Promise<void>;
  leave(): void;
}

async function watch(
  stage: Stage,
  request: MessageInitShape<typeof TailRequestSchema> = {},
): Promise<Watched> {
  const leaving = new AbortController();
  const { promise: isOpen, resolve: onHeader } = Promise.withResolvers<void>();
  const responses = createClient(TapService, transportOf(stage)).tail(request, {
    signal: leaving.signal,
    onHeader: () => onHeader(),
  });
  const watched: Watched = { records: [], skipped: 0, over: Promise.resolve(), leave: () => leaving.abort() };
  const read = async (): Promise<void> => {
    for await (const { records, skipped } of responses) {
      watched.records.push(...records);
      watched.skipped += Number(skipped);
    }
  };
  watched.over = read();
  watched.over.catch(() => {});
  await Promise.race([isOpen, watched.over]);
  return watched;
}

/** What each stage shows of a source, and a way to stop watching. */
async function watchAll(request: MessageInitShape<typeof TailRequestSchema>) {
  const taps = new Map<Stage, Watched>();
  for (const stage of STAGES) taps.set(stage, await watch(stage, request));
  return {
    outcomes: (stage: Stage) =>
      Object.fromEntries(taps.get(stage)!.records.map(({ dataId, outcome }) => [dataId, outcome])),
    record: (stage: Stage, dataId: string) =>
      taps.get(stage)!.records.find((record) => record.dataId === dataId),
    leave: () => {
      for (const { leave } of taps.values()) leave();
    },
  };
}

describe("a tap at each stage", () => {
  it("shows what became of every record of a source, and of no other", async () => {
    const sourceId = "tapped";
    const definition = `
      tenant: "*"
      source_type: article
      steps:
        - require: { fields: [metadata.title] }
        - derive_identity: { from: [metadata.title] }
        - map: { data: '"seen: " + data' }`;
    await createClient(PipelineService, transportOf("enricher")).applyPipeline({ definition });
    const article = (title: string, second: number) =>
      note(`sent-${title}`, `on ${title}`, second, {
        sourceId,
        sourceType: "article",
        ...(title !== "" && { metadata: { title } }),
      });
    await push(article("a", 5));
    await mesh.untilDrained();

    const { outcomes, record, leave } = await watchAll({ sourceId, maxContentBytes: 64 });
    const records = [article("a", 6), article("b", 1), article("", 1), { ...article("c", 1), lang: "??" }];
    await push(...records, note("other", "not to be seen", 1, { sourceId: "other" }));
    await vi.waitFor(() => {
      expect(outcomes("gateway")).toEqual({
        "sent-a": "accepted",
        "sent-b": "accepted",
        "sent-": "accepted",
        "sent-c": "rejected",
      });
      expect(outcomes("enricher")).toEqual({ a: "enriched", b: "enriched", "sent-": "dead_lettered" });
      expect(outcomes("dedup")).toEqual({ a: "passed", b: "passed", "sent-": "passed" });
      expect(outcomes("store")).toEqual({ a: "unchanged", b: "stored", "sent-": "dead_lettered" });
    }, WAIT);

    const common = { tenantId: mesh.endpoints.tenant, sourceType: "article", sourceId };
    expect(record("gateway", "sent-c")).toMatchObject({
      ...common,
      reason: "invalid_lang",
      uuid: "",
      data: "on c",
    });
    expect(record("gateway", "sent-b")).toMatchObject({ data: "on b", metadataJson: '{"title":"b"}' });
    const uuid = record("gateway", "sent-b")!.uuid;
    for (const stage of ["enricher", "dedup", "store"] as const) {
      const shown = record(stage, "b")!;
      expect(shown).toMatchObject({ ...common, uuid, data: "seen: on b", reason: "" });
      expect(shown.pipelineVersion).toBeGreaterThan(0n);
    }
    for (const stage of ["enricher", "store"] as const)
      expect(record(stage, "sent-")).toMatchObject({
        reason: "required_field_missing",
        detail: "0:require: metadata.title is missing",
      });

    // Once dedup knows what the store has, it drops it, and the store doesn't meet it again.
    await vi.waitFor(async () => {
      await push({ ...article("b", 1), uuid: randomUUID() });
      await sleep(300);
      expect(outcomes("dedup")).toMatchObject({ b: "duplicate" });
    }, WAIT);
    // What is the same to the byte, the gateway knows, and dedup doesn't meet it.
    await vi.waitFor(async () => {
      await push(article("b", 1));
      await sleep(300);
      expect(outcomes("gateway")).toMatchObject({ "sent-b": "duplicate" });
    }, WAIT);
    leave();
  });

  it("filters by tenant and by outcome", async () => {
    const sourceId = "filtered";
    const dead = await watch("store", { sourceId, outcomes: ["dead_lettered", "conflict"] });
    const nobody = await watch("store", { sourceId, tenantId: "nobody" });
    await push(note("good", "", 1, { sourceId, metadata: {} }), note("", "no identity", 1, { sourceId }));
    await vi.waitFor(
      () => expect(dead.records.map(({ reason }) => reason)).toEqual(["identity_missing"]),
      WAIT,
    );
    await mesh.untilDrained();
    await sleep(300);
    expect([dead.records.length, nobody.records.length, dead.skipped, nobody.skipped]).toEqual([1, 0, 0, 0]);
    dead.leave();
    nobody.leave();
  });
});

describe("a tap that nobody reads", () => {
  it("holds nothing up and little in memory; what it missed is counted", async () => {
    const sourceId = "flood";
    const request = { sourceId, maxRecordsPerSecond: 1_000, maxContentBytes: 4_096 };
    const paused = new Map(
      await Promise.all(
        STAGES.map(
          async (stage) => [stage, await openPausedTail(mesh.endpoints.admin[stage]!, request)] as const,
        ),
      ),
    );
    const [calls, perCall] = [80, 100];
    for (let call = 0; call < calls; call++) {
      const text = "x".repeat(4_096);
      await push(...Array.from({ length: perCall }, (_, n) => note(`${call}/${n}`, text, 1, { sourceId })));
    }
    await mesh.untilDrained();
    const [found] = await mesh.books.query<{ n: number }>(
      "select count(*)::int as n from records where source_id = $1",
      [sourceId],
    );
    expect(found!.n).toBe(calls * perCall);

    const tally = (responses: readonly TailResponse[]) => ({
      shown: responses.reduce((sum, { records }) => sum + records.length, 0),
      skipped: responses.reduce((sum, { skipped }) => sum + Number(skipped), 0),
    });
    for (const [stage, reader] of paused) {
      const responses = await reader.readUntil((soFar) => {
        const { shown, skipped } = tally(soFar);
        return shown + skipped === calls * perCall;
      });
      const { shown, skipped } = tally(responses);
      expect(shown + skipped, stage).toBe(calls * perCall);
      // 33 MB have passed: what was kept for the reader is one message on its way and one that waited, of 1 MiB each.
      expect(shown, stage).toBeLessThan((2 * 1024 ** 2) / 4_096 + 10);
      reader.close();
    }
    expect(await auditBooks(mesh.endpoints.admin.store!, accepted)).toEqual([]);
  }, 120_000);
});

describe("a process that drains", () => {
  it.each(STAGES)("ends the taps of the %s, also one that nobody reads", async (stage) => {
    const { over } = await watch(stage);
    const paused = await openPausedTail(mesh.endpoints.admin[stage]!, { maxContentBytes: 4_096 });
    const records = Array.from({ length: 90 }, (_, n) =>
      note(`${stage}/${n}`, "x".repeat(4_096), 1, { sourceId: "drain" }),
    );
    await push(...records);
    await mesh.untilDrained();
    const startedMs = performance.now();
    const { promise: exited, resolve } = Promise.withResolvers<number | null>();
    mesh.process(stage).onUnexpectedExit(({ exit }) => resolve(exit.code));
    await createClient(AdminService, transportOf(stage)).drain({});
    await over;
    await paused.ended;
    expect(await exited).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(12_000);
    await mesh.process(stage).restart();
  });
});
