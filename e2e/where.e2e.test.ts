import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { createKey } from "@chowhound/gateway/src/create-key.ts";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { AdminService } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ALL, deadLettersAt } from "./dead-letter-calls.ts";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";
import { CHOW, type Ended, startCommand } from "./run-command.ts";

const WAIT = { timeout: 15_000, interval: 100 };
/** What a fetch brings that was under way when the pause came is still taken. */
const PAUSE_MS = 1_500;

let mesh: MeshUnderTest;
let strangersKey: string;
beforeAll(async () => {
  mesh = await startMeshUnderTest();
  strangersKey = await createKey({ tenant: "stranger", file: mesh.keysFile });
}, 120_000);
afterAll(() => mesh.remove());

/** `chow where` as somebody types it. */
function where(args: readonly string[], key = mesh.endpoints.key): Promise<Ended> {
  const env = { CHOWHOUND_GATEWAY: mesh.endpoints.grpc, CHOWHOUND_KEY: key };
  return startCommand([...CHOW, "where", ...args], { env }).ended;
}

interface Located {
  fates: {
    uuid: string;
    state: string;
    receiptId: string;
    waiting?: { stream: string; waitsFor: string };
    row?: { key: { dataId: string }; isThis: boolean };
    deadLetter?: { reason: string; state: string; verdict: string };
  }[];
  counts: { state: string; count: number }[];
  gaps: { where: string; message: string }[];
}

/** What is known of an id; all has to be searched. */
async function locate(id: string): Promise<Located["fates"]> {
  const { stdout } = await where([id, "--json"]);
  const { fates, gaps } = JSON.parse(stdout) as Located;
  expect(gaps).toEqual([]);
  return fates.map((fate) => ({ ...fate, state: fate.state.replace("RECORD_STATE_", "") }));
}

const statesOf = async (id: string): Promise<string[]> => (await locate(id)).map(({ state }) => state);

async function admin(service: string, call: "pause" | "resume"): Promise<void> {
  const { calls, close } = createGrpcClient(AdminService, mesh.endpoints.admin[service]!);
  await calls[call]({});
  close();
}

describe("chow where", () => {
  it("follows a call from its receipt to its rows", async () => {
    await admin("enricher", "pause");
    await admin("store", "pause");
    await sleep(PAUSE_MS);
    const { receiptId, statuses } = await mesh.ingest([note("a", "x"), note("b", "x")]);
    expect(await locate(receiptId)).toMatchObject([
      { state: "IN_FLIGHT", waiting: { stream: "raw", waitsFor: "enricher" } },
      { state: "IN_FLIGHT", waiting: { stream: "raw" } },
    ]);
    await admin("enricher", "resume");
    await vi.waitFor(async () => {
      const { code, stdout } = await where([receiptId]);
      expect(stdout).toMatch(
        /^\S+: 2 in_flight\nUUID .*in UNIQUE as number \d+, waiting for the store since /s,
      );
      expect(code).toBe(0);
    }, WAIT);
    expect(await locate(statuses[1]!.uuid)).toMatchObject([{ state: "IN_FLIGHT", receiptId }]);
    await admin("store", "resume");
    await mesh.untilDrained();
    expect(await statesOf(receiptId)).toEqual(["STORED", "STORED"]);
    const { stdout, stderr } = await where([statuses[0]!.uuid]);
    expect(stdout).toMatch(/^state +stored: the row note\/e2e\/a\nuuid .*\npipeline +default\nreceipt/s);
    expect(stdout).toContain(receiptId);
    expect(stderr).toBe("");
    expect(await where([receiptId, "--summary"])).toMatchObject({
      code: 0,
      stdout: `${receiptId}: 2 stored\n`,
    });
  });

  it("tells what came late, what was taken already and what contradicts", async () => {
    const newer = note("late", "new", 2);
    const { statuses } = await mesh.ingest([newer]);
    await mesh.untilDrained();
    const stale = await mesh.ingest([note("late", "old", 1)]);
    const conflict = await mesh.ingest([note("other", "x", 1, { uuid: statuses[0]!.uuid })]);
    await mesh.untilDrained();
    expect(await statesOf(stale.receiptId)).toEqual(["STALE"]);
    expect(await locate(conflict.receiptId)).toMatchObject([
      { state: "CONFLICT", row: { key: { dataId: "late" }, isThis: false } },
    ]);
    // Sent again by its source, until dedup has heard of the commit and drops it.
    const again = { ...newer, uuid: statuses[0]!.uuid };
    await vi.waitFor(async () => {
      const { receiptId } = await mesh.ingest([again, note(randomUUID(), "x")]);
      await mesh.untilDrained();
      expect(await statesOf(receiptId)).toEqual(["DUPLICATE", "STORED"]);
    }, WAIT);
    const history = await statesOf(statuses[0]!.uuid);
    expect([history[0], history[1], history.at(-1)]).toEqual(["STORED", "CONFLICT", "DUPLICATE"]);
  });

  it("follows a dead letter through its replay", async () => {
    const pipelines = createGrpcClient(PipelineService, mesh.endpoints.admin.enricher!);
    const apply = (steps: string) =>
      pipelines.calls.applyPipeline({ definition: `{ tenant: "*", source_type: memo, steps: [${steps}] }` });
    await apply("{ require: { fields: [metadata.nowhere] } }");
    const { receiptId, statuses } = await mesh.ingest([note("m", "x", 1, { sourceType: "memo" })]);
    await mesh.untilDrained();
    const { stdout } = await where([statuses[0]!.uuid]);
    expect(stdout).toMatch(
      /^state +dead_lettered: required_field_missing: .*\(dead letter [\w-]+\/0, open\)$/m,
    );
    await apply("{ require: { fields: [data] } }");
    pipelines.close();
    const letters = deadLettersAt(mesh.endpoints.admin.store!);
    await letters.replay(ALL);
    letters.close();
    await mesh.untilDrained();
    expect(await locate(receiptId)).toMatchObject([
      { state: "DEAD_LETTERED", deadLetter: { state: "resolved", verdict: "RECORD_STATE_STORED" } },
      { state: "STORED", row: { isThis: true } },
    ]);
    expect((await where([receiptId, "--summary"])).stdout).toBe(`${receiptId}: 1 stored\n`);
  });

  it("knows nothing of another tenant's records, nor that there are any", async () => {
    const { receiptId, statuses } = await mesh.ingest([note("secret", "x")]);
    await mesh.untilDrained();
    for (const id of [receiptId, statuses[0]!.uuid, randomUUID()])
      expect(await where([id], strangersKey)).toEqual({ code: 1, stdout: `${id}: not found\n`, stderr: "" });
    expect((await where([receiptId, randomUUID()])).code).toBe(1);
    expect(await where(["nonsense"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^chow: id is not in the canonical form.*\(invalid_query\)/),
    });
  });
});
