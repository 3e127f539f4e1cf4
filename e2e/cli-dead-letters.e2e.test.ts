import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { auditBooks } from "@chowhound/local/audit";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";
import { CHOW, type Ended, type Running, startCommand } from "./run-command.ts";

const WAIT = { timeout: 30_000, interval: 100 };
const hasScript = process.platform === "linux" && existsSync("/usr/bin/script");

let mesh: MeshUnderTest;
/** As a checkout in which `npm start` runs. */
let checkout: string;
let accepted = 0;

beforeAll(async () => {
  mesh = await startMeshUnderTest({ replicas: { store: 2 } });
  checkout = await mkdtemp(join(tmpdir(), "chow-e2e-"));
  await mkdir(join(checkout, ".chowhound"));
  await writeFile(join(checkout, ".chowhound", "endpoints.json"), JSON.stringify(mesh.endpoints));
}, 120_000);
afterAll(async () => {
  await mesh.remove();
  await rm(checkout, { recursive: true, force: true });
});

function start(command: readonly string[], stdin = ""): Running {
  return startCommand(command, { cwd: checkout, env: { SHELL: "bash" }, stdin });
}

const chow = (...args: string[]): Promise<Ended> => start([...CHOW, ...args]).ended;
const letters = (...args: string[]): Promise<Ended> => chow("dead-letters", ...args);

async function lettersJson<T>(...args: string[]): Promise<T> {
  const { stdout } = await letters(...args, "--json");
  return JSON.parse(stdout) as T;
}

async function listed(...args: string[]): Promise<{ id: string; dataId: string }[]> {
  const { stdout } = await letters("list", ...args, "--all", "--json");
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

async function applyPipeline(sourceType: string, steps: string): Promise<void> {
  const definition = `{ tenant: local, source_type: ${sourceType}, steps: [${steps}] }`;
  expect((await start([...CHOW, "pipelines", "apply", "-"], definition).ended).code).toBe(0);
}

async function push(sourceType: string, dataIds: readonly string[]): Promise<void> {
  const records = dataIds.map((dataId) => note(dataId, `text of ${dataId}`, 1, { sourceType }));
  for (let from = 0; from < records.length; from += 100)
    accepted += (await mesh.ingestUntilAccepted(records.slice(from, from + 100))).accepted;
  await mesh.untilDrained();
}

const BROKEN = "{ require: { fields: [metadata.nowhere] } }";

describe("chow dead-letters", () => {
  it("counts, lists and shows what a broken pipeline has left", async () => {
    expect(await letters()).toEqual({ code: 0, stdout: "", stderr: "No dead letter is open.\n" });
    await applyPipeline("article", BROKEN);
    await push("article", ["a", "b", "c"]);

    const summary = await letters();
    expect(summary.code).toBe(0);
    expect(summary.stdout).toMatch(/^LETTERS +TENANT +SOURCE_TYPE +STAGE +REASON/);
    expect(summary.stdout).toMatch(/\n +3 +local +article +enricher +required_field_missing +\d+ /);
    expect(await lettersJson("--source-type", "other")).toEqual({ groups: [] });
    expect(await lettersJson("summary", "--stage", "enricher", "--since", "1h")).toMatchObject({
      groups: [{ reason: "required_field_missing", count: "3" }],
    });

    const list = await letters("list", "--reason", "required_field_missing", "--limit", "2");
    expect(list.stdout.split("\n")).toHaveLength(1 + 2 + 1);
    expect(list.stdout).toMatch(/\/\d+ +local +article\/e2e +a .* 1× +required_field_missing +0:require: /);
    expect(list.stderr).toBe("chow: these are the first 2; there are more: --limit N or --all\n");

    const [first] = await listed();
    const file = join(checkout, "original");
    const shown = await letters("show", first!.id, "--original", file);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(/^state +open$/m);
    expect(shown.stdout).toMatch(/^reason +required_field_missing \(docs\/errors\.md#/m);
    expect(shown.stdout).toMatch(/^ +"data": "text of a",$/m);
    expect(fromBinary(IngestionDataSchema, await readFile(file))).toMatchObject({ data: "text of a" });
    expect((await letters("show", `${first!.id}9`)).stderr).toContain("dead_letter_not_found");
  });

  it("completes what there is", async () => {
    const complete = async (...words: string[]) =>
      (await chow("--get-yargs-completions", "chow", "dead-letters", ...words)).stdout.trimEnd().split("\n");
    // A shell doesn't wait for a mesh that is busy: then there is nothing, and one presses the key again.
    const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 20_000 });
    await eventually(async () =>
      expect(await complete("list", "--reason", "")).toContain("required_field_missing"),
    );
    await eventually(async () => expect(await complete("replay", "--source-type", "")).toContain("article"));
    await eventually(async () => expect(await complete("show", "")).toHaveLength(3));
    expect(await complete("")).toContain("discard");
  });

  it("replays, and says what became of each", async () => {
    const tooEarly = await letters("replay", "--source-type", "article", "--limit", "2");
    expect(tooEarly).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(
        /^2 sent again\n {2}2 died again: 2 required_field_missing\n {4}\S+: 0:require: metadata\.nowhere is missing\n$/,
      ),
    });

    await applyPipeline("article", "");
    const [first, second] = await listed();
    const one = await letters("replay", first!.id);
    expect(one).toEqual({ code: 0, stdout: "1 sent again\n  1 landed: 1 stored\n", stderr: "" });
    const strange = await letters("replay", first!.id, second!.id, `${first!.id}9`);
    expect(strange).toMatchObject({
      code: 1,
      stdout: "1 sent again\n  1 landed: 1 stored\n2 not sent: 1 not_open, 1 not_found\n",
    });
    expect((await letters("show", first!.id)).stdout).toMatch(/^state +resolved: stored$/m);
    expect((await letters("show", first!.id)).stdout).toMatch(/^attempts +2, the first died at /m);

    expect(await lettersJson("replay", "--all")).toEqual({
      matched: 1,
      sent: 1,
      landed: { stored: 1 },
      diedAgain: {},
      discarded: 0,
      skipped: {},
      waiting: 0,
    });
    expect(await letters("replay", "--all")).toEqual({
      code: 0,
      stdout: "",
      stderr: "No open dead letter matches.\n",
    });
    expect((await chow("get", "article", "e2e", "c")).stdout).toMatch(/^data +text of c$/m);
  });

  it("never chooses letters by what is left out", async () => {
    for (const args of [["replay"], ["discard", "--note", "n", "--yes"]])
      expect(await letters(...args)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("say which dead letters"),
      });
    expect((await letters("replay", "--all", "--reason", "map_failed")).code).toBe(2);
    expect((await letters("discard", "--all")).stderr).toContain("note");
    expect(await letters("discard", "--all", "--note", "n")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--yes"),
    });
  });

  it("discards, with who and why", async () => {
    await applyPipeline("rig", BROKEN);
    await push("rig", ["x", "y", "z"]);
    const [first] = await listed("--source-type", "rig");
    const discard = await letters("discard", first!.id, "--note", "a test", "--by", "ada", "--yes");
    expect(discard).toEqual({ code: 0, stdout: "1 discarded\n", stderr: "" });
    expect((await letters("list", "--state", "discarded")).stdout).toContain("by ada: a test");
    const again = await letters("discard", first!.id, "--note", "a test", "--yes");
    expect(again).toMatchObject({ code: 1, stdout: "0 discarded\nNot: 1 not_open\n" });
  });

  it.runIf(hasScript)("asks on a terminal before it discards", async () => {
    const command = `${CHOW.join(" ")} dead-letters discard --source-type rig --note "it's over"`;
    const answer = (text: string) => start(["script", "-qec", command, "/dev/null"], `${text}\n`).ended;
    const no = await answer("n");
    expect(no.stdout).toMatch(/Discard 2 dead letters\?.*\[y\/N\].*nothing was discarded/s);
    expect(no.code).toBe(1);
    expect(await listed("--source-type", "rig")).toHaveLength(2);
    expect((await answer("y")).stdout).toContain("2 discarded");
    expect(await listed("--source-type", "rig")).toEqual([]);
  });

  it("goes on when it is run again after Ctrl-C, and lands all once", async () => {
    const dataIds = Array.from({ length: 2_500 }, (_, i) => `i${i}`);
    await applyPipeline("bulk", BROKEN);
    await push("bulk", dataIds);
    await applyPipeline("bulk", "");
    // Nothing of the replay gets any further until it is interrupted.
    expect((await chow("pause", "enricher")).code).toBe(0);
    const { child, ended } = start([...CHOW, "dead-letters", "replay", "--source-type", "bulk"]);
    await vi.waitFor(async () => {
      const { stdout } = await chow("status", "enricher", "--json");
      const [{ status } = {}] = (JSON.parse(stdout) as { processes: { status?: Status }[] }).processes;
      expect(Number(status?.lag[0]?.pendingBatches)).toBeGreaterThan(0);
    }, WAIT);
    child.kill("SIGINT");
    const { code, stdout, stderr } = await ended;
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    expect(stderr).toMatch(/were sent/);
    expect((await chow("resume", "enricher")).code).toBe(0);

    const again = await letters("replay", "--source-type", "bulk");
    expect(again).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^[\d,]+ sent again\n.* landed: /),
    });
    expect(await listed("--source-type", "bulk")).toEqual([]);
    await mesh.untilDrained();
    expect(
      await mesh.books.query("select count(*)::int as n from records where source_type = 'bulk'"),
    ).toEqual([{ n: dataIds.length }]);
    expect(await auditBooks(mesh.endpoints.admin.store!, accepted)).toEqual([]);
  }, 120_000);
});

interface Status {
  lag: { pendingBatches: string }[];
}
