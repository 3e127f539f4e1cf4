import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { repositoryRoot } from "@chowhound/local/node-binary";
import { parse as parseCsv } from "csv-parse/sync";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";
import { CHOW, CHOW_BIN, type Ended, type Running, type RunOptions, startCommand } from "./run-command.ts";

const QUERIED = 1_150;

let mesh: MeshUnderTest;
/** As a checkout in which `npm start` runs. */
let checkout: string;
let elsewhere: string;

beforeAll(async () => {
  mesh = await startMeshUnderTest({ replicas: { store: 2 } });
  checkout = await mkdtemp(join(tmpdir(), "chow-e2e-"));
  elsewhere = await mkdtemp(join(tmpdir(), "chow-e2e-"));
  await mkdir(join(checkout, ".chowhound"));
  await writeFile(join(checkout, ".chowhound", "endpoints.json"), JSON.stringify(mesh.endpoints));
  const records = Array.from({ length: QUERIED }, (_, i) =>
    note(`n${i}`, `text "${i}",\nsecond line`, 1, { sourceId: "queried", metadata: { i } }),
  );
  await mesh.ingestUntilAccepted(records);
  await mesh.untilDrained();
}, 120_000);

afterAll(async () => {
  await mesh.remove();
  for (const directory of [checkout, elsewhere]) await rm(directory, { recursive: true });
});

function start(command: readonly string[], options: RunOptions = {}): Running {
  return startCommand(command, { cwd: checkout, ...options });
}

/** Runs chow to its end. */
function chow(args: readonly string[], options: { cwd?: string; stdin?: string } = {}): Promise<Ended> {
  return start([...CHOW, ...args], options).ended;
}

async function chowJson<T>(args: readonly string[], options: { stdin?: string } = {}): Promise<T> {
  const { code, stdout, stderr } = await chow([...args, "--json"], options);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout);
}

interface Statuses {
  processes: {
    service: string;
    address: string;
    problem?: string;
    status?: { instanceId: string; state: string };
  }[];
  verdicts: Record<string, string>;
}

function lines(output: string): string[] {
  return output.trimEnd().split("\n");
}

describe("finding the mesh", () => {
  it("says what to do where there is none", async () => {
    const { code, stdout, stderr } = await chow(["status"], { cwd: elsewhere });
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(/^chow: no admin port is known\. .*npm start.*--admin.*CHOWHOUND_ADMIN/);
    expect((await chow(["query"], { cwd: elsewhere })).stderr).toMatch(/--gateway.*CHOWHOUND_GATEWAY/);
    const noKey = await chow(["query", "--gateway", mesh.endpoints.grpc], { cwd: elsewhere });
    expect(noKey).toMatchObject({ code: 4, stderr: expect.stringMatching(/--key-file.*CHOWHOUND_KEY/) });
  });

  it("says which address doesn't answer, and where it came from", async () => {
    const { code, stderr } = await chow(["query", "--gateway", "127.0.0.1:9", "--key", "k"]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^chow: nothing answers at http:\/\/127\.0\.0\.1:9 \(from --gateway\)/);
  });

  it("tells a port that is none of gRPC", async () => {
    const { code, stderr } = await chow([
      "query",
      "--gateway",
      mesh.endpoints.natsUrl.replace("nats://", ""),
      "--key",
      "k",
    ]);
    expect(code).toBe(3);
    expect(stderr).toContain("(from --gateway)");
  });

  it("a key that the gateway doesn't know is refused", async () => {
    const { code, stderr } = await chow(["query", "--key", "nobodys"]);
    expect(code).toBe(4);
    expect(stderr).toMatch(/^chow: .*\(unauthenticated\)\n {2}see docs\/errors\.md#unauthenticated\n/s);
  });

  it("takes flags anywhere", async () => {
    const { grpc, key, admin } = mesh.endpoints;
    const keyFile = join(elsewhere, "key");
    await writeFile(keyFile, `${key}\n`);
    const query = await chow(
      ["--gateway", `http://${grpc}`, "query", "--limit", "1", "--key-file", keyFile],
      { cwd: elsewhere },
    );
    expect(query).toMatchObject({ code: 0, stdout: expect.stringContaining("note/queried") });
    const port = admin.dedup!.split(":")[1];
    const status = await chow(["status", "--admin", `dedup=localhost:${port}`], { cwd: elsewhere });
    expect(status).toMatchObject({ code: 0, stdout: expect.stringMatching(/\ndedup .*running/) });
  });
});

describe("operating", () => {
  it("status shows every process and the verdicts of all", async () => {
    const { code, stdout } = await chow(["status"]);
    expect(code).toBe(0);
    const [title, ...rows] = lines(stdout);
    expect(title).toMatch(/^SERVICE +INSTANCE +STATE +UPTIME +RECORDS\/S +RECORDS +BATCHES BEHIND/);
    expect(rows.slice(0, 5).map((row) => row.split(/ +/)[0])).toEqual([
      "gateway",
      "enricher",
      "dedup",
      "store",
      "store",
    ]);
    expect(stdout).toMatch(/Verdicts since the start: [\d,]+ stored/);

    const { processes, verdicts } = await chowJson<Statuses>(["status", "store"]);
    expect(processes.map(({ status }) => status?.state)).toEqual([
      "SERVICE_STATE_RUNNING",
      "SERVICE_STATE_RUNNING",
    ]);
    expect(Number(verdicts.stored)).toBeGreaterThanOrEqual(QUERIED);
  });

  it("pauses and resumes every replica, or one", async () => {
    expect(lines((await chow(["pause", "store"])).stdout)).toEqual([
      expect.stringMatching(/^store\/[0-9a-f]{8} {2}paused$/),
      expect.stringMatching(/^store\/[0-9a-f]{8} {2}paused$/),
    ]);
    const status = await chow(["status", "store"]);
    expect(status).toMatchObject({ code: 1, stdout: expect.stringContaining("paused") });

    const { processes } = JSON.parse((await chow(["status", "store", "--json"])).stdout) as Statuses;
    const one = processes[0]!.status!.instanceId;
    expect(await chowJson(["resume", `store/${one.slice(0, 8)}`])).toEqual({
      processes: [
        { service: "store", instanceId: one, address: processes[0]!.address, state: "SERVICE_STATE_RUNNING" },
      ],
    });
    expect((await chow(["resume", "store"])).code).toBe(0);
    expect((await chow(["status", "store"])).code).toBe(0);
  });

  it("a target that is not there is a mistake", async () => {
    expect(await chow(["pause", "shop"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("has gateway, enricher"),
    });
    expect(await chow(["pause", "store/zz"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/names no process; there are store\/[0-9a-f]{8}, store\/[0-9a-f]{8}/),
    });
  });

  it("changes the log level", async () => {
    expect((await chow(["log-level", "gateway", "debug"])).stdout).toMatch(/logs debug \(was info\)/);
    expect(await chowJson(["log-level", "gateway", "info"])).toMatchObject({
      processes: [{ level: "LOG_LEVEL_INFO", previousLevel: "LOG_LEVEL_DEBUG" }],
    });
  });

  it("drains one replica; status then says which is away", async () => {
    const replica = mesh.process("store-2");
    const { processes } = await chowJson<Statuses>(["status", "store"]);
    const drained = processes.find(({ address }) => address.endsWith(`:${replica.ports.admin}`))!;
    const { code, stdout } = await chow(["drain", `store/${drained.status!.instanceId}`, "--yes"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("draining") });
    await replica.exited();
    const status = await chow(["status"]);
    expect(status.code).toBe(1);
    expect(status.stdout).toMatch(/\nstore +unreachable .*ECONNREFUSED/);
    await replica.restart();
  });
});

describe("pipelines", () => {
  const definition = (title: string) =>
    [
      "tenant: local",
      "source_type: package",
      "description: Packages by name",
      "steps:",
      "  - require: { fields: [metadata.name] }",
      "  - derive_identity: { from: [metadata.name] }",
      `  - map: { metadata.title: '${title}' }`,
    ].join("\n");
  const sample = (dataId: string, metadata: object) =>
    JSON.stringify({
      sourceType: "package",
      sourceId: "s",
      dataId,
      metadata,
      updatedAt: "2026-01-01T00:00:00Z",
    });

  it("apply shows what changes, and changes nothing for a dry run or for the same again", async () => {
    const file = join(elsewhere, "package.yaml");
    await writeFile(file, definition("metadata.name"));
    expect((await chow(["pipelines", "list"])).stderr).toContain("No pipeline is in force");
    expect((await chow(["pipelines", "apply", file, "--dry-run"])).stdout).toBe(
      "local package: valid, and new\n",
    );
    expect((await chow(["pipelines", "get", "local", "package"])).code).toBe(1);
    expect((await chow(["pipelines", "apply", file])).stdout).toMatch(
      /^local package: version \d+ is in force, the first\n$/,
    );
    expect((await chow(["pipelines", "apply", file])).stdout).toMatch(
      /^local package: unchanged: version \d+ is in force\n$/,
    );
    expect((await chow(["pipelines", "get", "local", "package"])).stdout).toBe(
      `${definition("metadata.name")}\n`,
    );

    const changed = definition("metadata.name + metadata.version");
    const { stdout } = await chow(["pipelines", "apply", "-"], { stdin: changed });
    expect(stdout).toContain("- " + "  - map: { metadata.title: 'metadata.name' }\n");
    expect(stdout).toContain("+ " + "  - map: { metadata.title: 'metadata.name + metadata.version' }\n");
    expect(stdout).not.toContain("tenant: local");
    const again = await chowJson<{ change: string; pipeline: { version: string } }>(
      ["pipelines", "apply", "-"],
      { stdin: changed },
    );
    expect(again.change).toBe("unchanged");
    expect(await chowJson(["pipelines", "list"])).toMatchObject({
      pipelines: [
        { tenantId: "local", sourceType: "package", version: again.pipeline.version, definition: "" },
      ],
    });
  });

  it("a definition with mistakes is refused with all of them", async () => {
    const { code, stderr } = await chow(["pipelines", "apply", "-"], {
      stdin: "tenant: local\nsteps: [{ nope: {} }]",
    });
    expect(code).toBe(1);
    expect(stderr).toContain("(pipeline_invalid)");
    expect(stderr).toContain("source_type");
    expect(stderr).toContain("nope");
  });

  it("test shows what becomes of samples, and fails where one doesn't get through", async () => {
    const file = join(elsewhere, "try.yaml");
    await writeFile(file, definition("metadata.name"));
    const good = sample("given", { name: "left-pad", kept: true });
    const tried = await chow(["pipelines", "test", "--definition", file, "--samples", "-"], { stdin: good });
    expect(tried.code).toBe(0);
    expect(tried.stdout).toMatch(/^line 1: enriched by local package\n/);
    expect(tried.stdout).toMatch(/data_id +"given" +→ +"left-pad"\n/);
    expect(tried.stdout).toMatch(/metadata\.title +– +→ +"left-pad"\n/);
    expect(tried.stdout).not.toContain("kept");

    const stdin = [good, sample("x", {}), sample("y", { name: "" }).replace('"s"', '""'), "[]x"].join("\n");
    const failed = await chow(["pipelines", "test", "--definition", file, "--samples", "-"], { stdin });
    expect(failed.code).toBe(1);
    expect(failed.stdout).toContain("line 2: dead_lettered required_field_missing\n");
    expect(failed.stdout).toContain("line 3: rejected missing_field source_id\n");
    expect(failed.stdout).toContain("line 4: unreadable\n");

    const json = await chow(["pipelines", "test", "--tenant", "local", "--samples", "-", "--json"], {
      stdin: sample("x", {}),
    });
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      line: 1,
      outcome: "dead_lettered",
      reason: "required_field_missing",
    });
  });

  it("test sends more samples than one call takes", async () => {
    const stdin = Array.from({ length: 230 }, (_, i) =>
      sample(`d${i}`, { name: `n${i}`, version: "1" }),
    ).join("\n");
    const { code, stdout } = await chow(
      ["pipelines", "test", "--tenant", "local", "--samples", "-", "--json"],
      { stdin },
    );
    expect(code).toBe(0);
    const results = lines(stdout).map(
      (line) => JSON.parse(line) as { line: number; record: { dataId: string } },
    );
    expect(results.map(({ line, record }) => [line, record.dataId])).toEqual(
      Array.from({ length: 230 }, (_, i) => [i + 1, `n${i}`]),
    );
  });
});

describe("reading back", () => {
  it("get shows one record, by key or uuid", async () => {
    const { record } = await chowJson<{ record: { uuid: string; metadata: object } }>([
      "get",
      "note",
      "queried",
      "n7",
    ]);
    expect(record.metadata).toEqual({ i: 7 });
    const { code, stdout } = await chow(["get", "--uuid", record.uuid]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^dataId +n7$/m);
    expect(stdout).toMatch(/^data +text "7",\n +second line$/m);
  });

  it("what is not there fails, and half a key is a mistake", async () => {
    expect(await chow(["get", "note", "queried", "nope"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("record_not_found"),
    });
    expect(await chow(["get", "note", "queried"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("DATA_ID"),
    });
    expect((await chow(["get", "note", "--uuid", "x"])).code).toBe(2);
  });

  it("query lists a first page, and says that there is more", async () => {
    const { code, stdout, stderr } = await chow(["query", "--source-type", "note", "--source-id", "queried"]);
    expect(code).toBe(0);
    expect(lines(stdout)).toHaveLength(101);
    expect(lines(stdout)[1]).toMatch(/^note\/queried {2}n0 .*text "0", second line$/);
    expect(stderr).toBe("chow: these are the first 100; there are more: --limit N or --all\n");
  });

  it("query --all pages through everything, as NDJSON and as CSV", async () => {
    const selection = ["query", "--source-type", "note", "--source-id", "queried", "--all"];
    const json = lines((await chow([...selection, "--json"])).stdout).map(
      (line) => (JSON.parse(line) as { record: { dataId: string } }).record.dataId,
    );
    expect(new Set(json).size).toBe(QUERIED);
    expect(json).toHaveLength(QUERIED);
    const csv: Record<string, string>[] = parseCsv((await chow([...selection, "--output", "csv"])).stdout, {
      columns: true,
    });
    expect(csv.map(({ dataId }) => dataId)).toEqual(json);
    expect(csv[0]).toMatchObject({ data: 'text "0",\nsecond line', metadata: '{"i":0}' });
  });

  it("query selects by when it was stored", async () => {
    const count = async (...args: string[]) =>
      lines(
        (await chow(["query", "--source-type", "note", "--json", "--limit", "2", ...args])).stdout,
      ).filter(Boolean).length;
    expect(await count("--since", "1h")).toBe(2);
    expect(await count("--before", "1h")).toBe(0);
    expect(await chow(["query", "--since", "soon"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--since"),
    });
  });

  it("a reader that has enough ends it without complaint", async () => {
    const command = `"${process.execPath}" "${CHOW_BIN}" query --all --json | head -1; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await start(["bash", "-c", command]).ended;
    const [record, code] = lines(stdout);
    expect(JSON.parse(record!)).toHaveProperty("record");
    expect({ code, stderr }).toEqual({ code: "0", stderr: "" });
  });
});

let fed = 0;
/** Sends new records until a tail has seen one. */
async function feedUntil(isSeen: () => boolean): Promise<void> {
  while (!isSeen()) {
    await mesh.ingestUntilAccepted([note(`t${fed}`, "seen in passing", fed, { sourceId: "tailed" })]);
    fed++;
    await sleep(100);
  }
}

describe("tail", () => {
  it("shows what passes through all replicas until Ctrl-C", async () => {
    const args = ["tail", "store", "--source-id", "tailed", "--content", "50"];
    const { child, ended, hasPrinted } = start([...CHOW, ...args]);
    await feedUntil(hasPrinted);
    child.kill("SIGINT");
    const { code, stdout, stderr } = await ended;
    expect({ code, stderr }).toEqual({ code: 130, stderr: "" });
    expect(lines(stdout)[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} {2}stored +local {2}note\/tailed\/t\d+$/);
    expect(lines(stdout)[1]).toBe("    seen in passing");
  });

  it("ends after --limit records, as NDJSON", async () => {
    const args = ["tail", "gateway", "--source-id", "tailed", "--limit", "2", "--json"];
    const { child, ended } = start([...CHOW, ...args]);
    await feedUntil(() => child.exitCode !== null);
    const { code, stdout } = await ended;
    expect(code).toBe(0);
    const records = lines(stdout).map((line) => JSON.parse(line) as object);
    expect(records).toHaveLength(2);
    expect(records[0]).toMatchObject({
      service: "gateway",
      outcome: "accepted",
      sourceId: "tailed",
      data: "",
    });
  });

  it("SIGTERM ends it with its own code", async () => {
    const { child, ended, hasPrinted } = start([...CHOW, "tail", "store", "--source-id", "tailed"]);
    await feedUntil(hasPrinted);
    child.kill("SIGTERM");
    expect((await ended).code).toBe(143);
  });

  it("a filter out of range is a mistake", async () => {
    expect(await chow(["tail", "store", "--sample", "2"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--sample"),
    });
  });
});

describe("the shell", () => {
  it("completes commands, options, choices, and what the mesh knows", async () => {
    const script = (await chow(["completion", "bash"])).stdout;
    const path = join(elsewhere, "bin");
    await mkdir(path, { recursive: true });
    await writeFile(join(path, "chow"), `#!/bin/sh\nexec "${process.execPath}" "${CHOW_BIN}" "$@"\n`, {
      mode: 0o755,
    });
    const complete = async (...words: string[]) => completeIn(checkout, ...words);
    const completeIn = async (cwd: string, ...words: string[]) => {
      const command = [
        `PATH="${path}:$PATH"`,
        script,
        `COMP_WORDS=(chow ${words.map((word) => `'${word}'`).join(" ")})`,
        `COMP_CWORD=${words.length}`,
        "_chow",
        `printf '%s\\n' "$\{COMPREPLY[@]}"`,
      ].join("\n");
      return lines((await start(["bash", "-c", command], { cwd }).ended).stdout);
    };
    expect(await complete("pa")).toEqual(["pause"]);
    expect(await complete("pipelines", "")).toEqual(["list", "get", "apply", "test"]);
    expect(await complete("query", "--sou")).toEqual(["--source-type", "--source-id"]);
    expect(await complete("log-level", "store", "")).toEqual(["error", "warn", "info", "debug"]);
    expect(await complete("pause", "")).toEqual(["gateway", "enricher", "dedup", "store"]);
    expect(await complete("pipelines", "get", "local", "")).toEqual(["package"]);
    // The mesh that the command line names, where none runs here.
    const endpoints = join(checkout, ".chowhound", "endpoints.json");
    expect(await completeIn(elsewhere, "pause", "")).toEqual([""]);
    expect(await completeIn(elsewhere, "--mesh", endpoints, "pause", "ga")).toEqual(["gateway"]);
    const { enricher } = mesh.endpoints.admin;
    const admin = ["--admin", `enricher=${enricher}`];
    expect(await completeIn(elsewhere, "pause", ...admin, "")).toEqual(["enricher"]);
    expect(await completeIn(elsewhere, "pipelines", "get", ...admin, "local", "")).toEqual(["package"]);
  });

  it("completes what is called by its path, as in a checkout", async () => {
    const bin = join(repositoryRoot, "node_modules", ".bin");
    const script = (await chow(["completion", "bash"])).stdout;
    const command = `${script}\nCOMP_WORDS=('${bin}/chow' pa)\nCOMP_CWORD=1\n_chow '${bin}/chow'\necho "\${COMPREPLY[@]}"`;
    expect((await start(["bash", "-c", command]).ended).stdout).toBe("pause\n");
  });

  it("starts itself again with the installed Node where this one runs no TypeScript", async () => {
    const old = [process.execPath, "--no-strip-types", CHOW_BIN];
    expect(await start([...old, "--version"]).ended).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
    expect((await start([...old, "nope"]).ended).code).toBe(2);
    const { child, ended, hasPrinted } = start([...old, "tail", "store", "--source-id", "tailed"]);
    await feedUntil(hasPrinted);
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
  });
});
