import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMMANDS, type CommandEntry, commandName } from "@chowhound/cli/commands";
import { EXIT } from "@chowhound/cli/exit-codes";
import { repositoryRoot } from "@chowhound/local/node-binary";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";
import { CHOW, type Ended, startCommand } from "./run-command.ts";

const data = (file: string): string => join(repositoryRoot, "examples", "data", file);

let mesh: MeshUnderTest;
/** As a checkout in which `npm start` runs. */
let checkout: string;
let receiptId: string;
let letterId: string;
beforeAll(async () => {
  mesh = await startMeshUnderTest();
  checkout = await mkdtemp(join(tmpdir(), "chow-json-"));
  await mkdir(join(checkout, ".chowhound"));
  await writeFile(join(checkout, ".chowhound", "endpoints.json"), JSON.stringify(mesh.endpoints));
  await writeFile(join(checkout, "bad.ndjson"), '{"data":"no source"}\n{"data":1}\n');
  await mesh.ingest([note("", "dies", 1, { sourceId: "json" })]);
  ({ receiptId } = await mesh.ingest([note("a", "one", 1, { sourceId: "json" })]));
  await mesh.untilDrained();
  const [letter] = (await chowJson("dead-letters", "list")).documents as { id: string }[];
  letterId = letter!.id;
}, 120_000);
afterAll(async () => {
  await mesh.remove();
  await rm(checkout, { recursive: true });
});

const chow = (...args: string[]): Promise<Ended> =>
  startCommand([...CHOW, ...args, "--json"], { cwd: checkout }).ended;

/** What is on stdout: one document over several lines, or one a line. */
function readDocuments(stdout: string): unknown[] {
  try {
    return [JSON.parse(stdout)];
  } catch {
    return stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  }
}

async function chowJson(...args: string[]): Promise<{ code: number | null; documents: unknown[] }> {
  const { code, stdout, stderr } = await chow(...args);
  expect(stdout, stderr).not.toBe("");
  return { code, documents: readDocuments(stdout) };
}

/** Each command with arguments that have it do something, and the code it ends with; in this order. */
const RUNS: [args: (string | (() => string))[], code: number][] = [
  [["push", data("readings.ndjson")], EXIT.ok],
  [["push", "bad.ndjson"], EXIT.failed],
  [["status"], EXIT.ok],
  [["top", "--once"], EXIT.ok],
  [["pause", "store"], EXIT.ok],
  [["resume", "store"], EXIT.ok],
  [["log-level", "store", "info"], EXIT.ok],
  [["where", () => receiptId], EXIT.ok],
  [["get", "note", "json", "a"], EXIT.ok],
  [["query", "--source-type", "note", "--source-id", "json"], EXIT.ok],
  [["pipelines", "apply", data("reading.pipeline.yaml")], EXIT.ok],
  [["pipelines", "list"], EXIT.ok],
  [["pipelines", "get", "local", "reading"], EXIT.ok],
  [["pipelines", "test", "--tenant", "local", "--samples", data("readings.ndjson")], EXIT.ok],
  [["dead-letters", "summary"], EXIT.ok],
  [["dead-letters", "list"], EXIT.ok],
  [["dead-letters", "show", () => letterId], EXIT.ok],
  // It dies again.
  [["dead-letters", "replay", "--all"], EXIT.failed],
  [["dead-letters", "discard", "--all", "--yes", "--note", "a test"], EXIT.ok],
  [["audit", "run"], EXIT.ok],
  [["audit", "compact", "--keep", "1d"], EXIT.ok],
  [["completion", "bash"], EXIT.ok],
];
/** What is not among these: it waits for records (see cli.e2e.test.ts), has nothing to write off, or ends a process. */
const OTHERS = ["tail", "audit write-off", "drain"];

const leaves = (entries: readonly CommandEntry[], parents: string[] = []): string[] =>
  entries.flatMap((entry) => {
    const words = [...parents, commandName(entry)];
    return "subcommands" in entry ? leaves(entry.subcommands, words) : [words.join(" ")];
  });

describe("with --json", () => {
  it("every command is looked at here", () => {
    const run = RUNS.map(([[first, second]]) => {
      const group = COMMANDS.find((entry) => commandName(entry) === first)!;
      return "subcommands" in group ? `${first} ${second}` : `${first}`;
    });
    expect(new Set([...run, ...OTHERS])).toEqual(new Set(leaves(COMMANDS)));
  });

  it.each(RUNS)("%j answers in JSON", async (args, code) => {
    const { documents, ...ended } = await chowJson(
      ...args.map((word) => (typeof word === "string" ? word : word())),
    );
    expect(ended.code).toBe(code);
    for (const document of documents) expect(document).toBeTypeOf("object");
  });

  it("push gives each rejected record, and the summary as the last line", async () => {
    const { documents } = await chowJson("push", "bad.ndjson");
    expect(documents).toMatchObject([
      { file: "bad.ndjson", line: 1, reason: "missing_field", text: '{"data":"no source"}' },
      { file: "bad.ndjson", line: 2 },
      { complete: true, accepted: 0, rejected: 2 },
    ]);
  });

  it.each<[what: string, args: string[], error: object]>([
    ["a command line that makes no sense", ["stauts"], { code: "usage", exitCode: 2 }],
    ["a file that is not there", ["push", "none.ndjson"], { code: "usage", exitCode: 2 }],
    [
      "a mesh that is away",
      ["query", "--gateway", "127.0.0.1:9", "--key", "any"],
      { code: "unavailable", exitCode: 3, message: expect.stringContaining("nothing answers at") },
    ],
    [
      "a key that is refused",
      ["query", "--key", "nobodys"],
      { code: "refused", exitCode: 4, reason: "unauthenticated" },
    ],
    [
      "an answer that is no",
      ["get", "note", "json", "none"],
      { code: "failed", exitCode: 1, reason: "record_not_found" },
    ],
    [
      "numbers that are not missing",
      ["audit", "write-off", "1", "1", "--yes", "--note", "a test"],
      { code: "failed", exitCode: 1 },
    ],
    ["a filter out of range", ["tail", "store", "--sample", "2"], { code: "usage", exitCode: 2 }],
  ])("tells %s as one object on stderr", async (_, args, error) => {
    const { code, stdout, stderr } = await chow(...args);
    expect(stdout).toBe("");
    const told = JSON.parse(stderr) as { error: { exitCode: number; message: string; details: string[] } };
    expect(told).toMatchObject({ error });
    expect(told.error.exitCode).toBe(code);
    expect(told.error.message).toMatch(/\S/);
    expect(told.error.details).toBeInstanceOf(Array);
  });

  it("drain tells the state of each process", async () => {
    const { code, documents } = await chowJson("drain", "dedup");
    expect([code, documents]).toMatchObject([
      EXIT.ok,
      [{ processes: [{ service: "dedup", state: "SERVICE_STATE_DRAINING" }] }],
    ]);
  });
});
