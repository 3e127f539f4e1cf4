import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNode } from "@chowhound/local/node-binary";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";
import { type Running, startCommand } from "./run-command.ts";
import { hasTerminal, type OnTerminal, startOnTerminal } from "./terminal.ts";

const main = join(import.meta.dirname, "..", "packages", "cli", "src", "main.ts");
const WAIT = { timeout: 30_000, interval: 20 };

let mesh: MeshUnderTest;
let cwd: string;
beforeAll(async () => {
  mesh = await startMeshUnderTest();
  cwd = await mkdtemp(join(tmpdir(), "chow-push-"));
}, 120_000);
afterAll(async () => {
  await mesh.remove();
  await rm(cwd, { recursive: true, force: true });
});

function environment(): Record<string, string> {
  const { grpc, key, admin } = mesh.endpoints;
  const processes = Object.entries(admin).map(([service, address]) => `${service}=${address}`);
  return { CHOWHOUND_GATEWAY: grpc, CHOWHOUND_KEY: key, CHOWHOUND_ADMIN: processes.join() };
}

/** @param stdin what is piped in; null: it stays open */
const chow = (args: readonly string[], stdin?: string | null): Running =>
  startCommand([findNode(), main, ...args], {
    cwd,
    env: environment(),
    ...(stdin !== undefined && { stdin }),
  });

const chowOnTerminal = (...args: string[]): Promise<OnTerminal> =>
  startOnTerminal([findNode(), main, ...args], { cwd, env: environment(), columns: 140, rows: 24 });

/** So many records of one source, one a line. */
function ndjson(source: string, count: number): string {
  const lines = Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      source_type: "note",
      source_id: source,
      data_id: `${i + 1}`,
      data: "pushed",
      updated_at: "2026-01-01T00:00:00Z",
    }),
  );
  return `${lines.join("\n")}\n`;
}

async function dataIds(source: string): Promise<string[]> {
  await mesh.untilDrained();
  const rows = await mesh.books.query<{ data_id: string }>(
    "select data_id from records where source_id = $1 order by data_id",
    [source],
  );
  return rows.map((row) => row.data_id);
}

describe("chow push", () => {
  it("goes on after kill -9 in the middle of a file, through a restart of the gateway, and lands every line once", async () => {
    const count = 40_000;
    await writeFile(join(cwd, "big.ndjson"), `{"data":"no source"}\n${ndjson("resumed", count)}`);
    const args = ["push", "big.ndjson", "--state", "big.state", "--receipts", "big.receipts", "--json"];
    const killed = chow(args);
    await vi.waitFor(() => expect(existsSync(join(cwd, "big.state"))).toBe(true), WAIT);
    killed.child.kill("SIGKILL");
    expect((await killed.ended).code).toBeNull();
    const receipts = () => readFile(join(cwd, "big.receipts"), "utf8");
    const { length } = await receipts();

    const elsewhere = await chow([...args, "--lang", "de", "--key", "of-another-tenant"]).ended;
    expect(elsewhere.code).toBe(2);
    expect(JSON.parse(elsewhere.stderr).error).toMatchObject({
      code: "usage",
      message: expect.stringContaining("another push of these files"),
      details: expect.arrayContaining([
        expect.stringMatching(/^the key /),
        expect.stringMatching(/^--lang was not given/),
      ]),
    });

    const resumed = chow(args);
    await vi.waitFor(async () => expect((await receipts()).length).toBeGreaterThan(length), WAIT);
    await mesh.process("gateway").restart();
    const { code, stdout, stderr } = await resumed.ended;
    expect(stderr).toContain("Going on where the last push ended");
    expect(stderr).toContain("Trying again in");
    const { earlier, ...summary } = JSON.parse(stdout.trim().split("\n").at(-1)!) as {
      earlier: { accepted: number; rejected: number };
    };
    // The line before where it goes on is not read again, and still told.
    expect([code, summary]).toMatchObject([1, { complete: true, accepted: count, rejected: 1 }]);
    expect(earlier).toMatchObject({ rejected: 1 });
    expect(earlier.accepted).toBeGreaterThan(0);
    expect(earlier.accepted).toBeLessThan(count);
    expect(existsSync(join(cwd, "big.state"))).toBe(false);
    expect(await dataIds("resumed")).toHaveLength(count);
  }, 120_000);

  it("tells the file's line of each rejected record, keeps it to be mended, and exits with 1", async () => {
    const csv = [
      "data_id,data,updated_at,shelf",
      '1,"two\nlines",2026-01-01T00:00:00Z,left',
      "2,too few",
      "3,no time,,",
      '4,5" pipe,2026-01-01T00:00:00Z,',
      "5,fine,2026-01-01T00:00:00Z,right",
      `${"6".repeat(2000)},refused by the gateway,2026-01-01T00:00:00Z,`,
    ].join("\r\n");
    const flags = ["--format", "csv", "--source-type", "note", "--source-id", "csv"];
    const pushed = await chow(["push", "-", ...flags, "--rejected", "rejected.ndjson"], csv).ended;
    expect(pushed.code).toBe(1);
    expect(pushed.stdout).toContain("2 accepted, 4 rejected");
    expect(pushed.stderr).toContain("-:4: rejected (malformed_record): 2 cells, but the header has 4");
    const rejected = (await readFile(join(cwd, "rejected.ndjson"), "utf8")).trim().split("\n");
    expect(
      rejected.map((line) => JSON.parse(line)).map(({ line, reason, field }) => [line, reason, field]),
    ).toEqual([
      [4, "malformed_record", ""],
      [5, "missing_time", "updated_at"],
      [6, "malformed_record", ""],
      [8, "field_too_long", "data_id"],
    ]);
    expect(JSON.parse(rejected[2]!).text).toBe('4,5" pipe,2026-01-01T00:00:00Z,');
    expect(await dataIds("csv")).toEqual(["1", "5"]);
    expect(
      await mesh.books.query("select data, metadata from records where source_id = 'csv' and data_id = '1'"),
    ).toEqual([{ data: "two\nlines", metadata: { shelf: "left" } }]);
  });

  it("sends nothing on a dry run", async () => {
    await writeFile(join(cwd, "dry.ndjson"), `${ndjson("dry", 3)}{"data":1}\n`);
    const { code, stdout } = await chow(["push", "dry.ndjson", "--dry-run", "--json"]).ended;
    const documents = stdout.trim().split("\n");
    expect(documents.map((line) => JSON.parse(line))).toMatchObject([
      { file: "dry.ndjson", line: 4, reason: "missing_field", text: `{"data":1}` },
      { accepted: 3, rejected: 1, dryRun: true },
    ]);
    expect(code).toBe(1);
    expect(await dataIds("dry")).toEqual([]);
  });

  it("pushes lines as they come, and what is in flight at Ctrl-C", async () => {
    const { child, ended } = chow(["push", "-", "--json"], null);
    child.stdin!.write(ndjson("live", 2));
    await vi.waitFor(async () => expect(await dataIds("live")).toHaveLength(2), WAIT);
    child.kill("SIGINT");
    const { code, stdout } = await ended;
    expect([code, JSON.parse(stdout)]).toMatchObject([130, { accepted: 2, complete: false }]);
  });

  it.skipIf(!hasTerminal)("draws a bar on a terminal and takes it away", async () => {
    await writeFile(join(cwd, "bar.ndjson"), ndjson("bar", 20_000));
    const terminal = await chowOnTerminal("push", "bar.ndjson");
    const BAR = /^[█░]{24} +\d+% {2}[\d,]+ accepted {2}0 rejected/;
    const bars = new Set<string>();
    await vi.waitFor(async () => {
      const shown = (await terminal.scrollback()).filter((line) => BAR.test(line));
      expect(shown.length).toBeLessThanOrEqual(1);
      for (const line of shown) bars.add(line);
      // It moves.
      expect(bars.size).toBeGreaterThan(1);
    }, WAIT);
    expect(await terminal.ended).toBe(0);
    const lines = (await terminal.scrollback()).filter((line) => line !== "");
    expect(lines.filter((line) => line.includes("█"))).toEqual([]);
    expect(lines[0]).toContain("20,000 accepted, 0 rejected in");
  });
});

describe("chow top", () => {
  it("shows every process and what became of records", async () => {
    const { code, stdout } = await chow(["top", "--once"]).ended;
    expect(code).toBe(0);
    for (const service of ["gateway", "enricher", "dedup", "store"])
      expect(stdout).toMatch(new RegExp(`^${service} +running`, "m"));
    expect(stdout).toMatch(/[\d,]+ stored \(/);
    const json = await chow(["top", "--once", "--json"]).ended;
    expect(JSON.parse(json.stdout).verdicts.stored.total).toBeGreaterThanOrEqual(40_000);
    expect(await chow(["top"]).ended).toMatchObject({ code: 2 });
  });

  it.skipIf(!hasTerminal)("is drawn again, over itself, until q", async () => {
    const terminal = await chowOnTerminal("top");
    const accepted = () =>
      vi.waitFor(async () => {
        const lines = await terminal.scrollback();
        expect(lines.filter((line) => line === "q ends")).toHaveLength(1);
        const [, count] =
          lines.map((line) => /^gateway +running +[\d.,]+ +([\d,]+)/.exec(line)).find((match) => match) ?? [];
        return Number(count!.replaceAll(",", ""));
      }, WAIT);
    const before = await accepted();
    for (const more of [1, 2]) {
      await mesh.ingest([note(`${more}`, "seen", 1, { sourceId: "top" })]);
      await vi.waitFor(async () => expect(await accepted()).toBe(before + more), WAIT);
    }
    terminal.type("q");
    expect(await terminal.ended).toBe(0);
    expect((await terminal.scrollback()).filter((line) => line !== "")).toEqual([]);
  });
});
