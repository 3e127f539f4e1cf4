import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findNode } from "@chowhound/local/node-binary";
import { removePostgresData } from "@chowhound/local/postgres";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { hasTerminal, type OnTerminal, startOnTerminal } from "./terminal.ts";

const WAIT = { timeout: 60_000, interval: 100 };
const PORTS = [
  "grpc",
  "http",
  "nats",
  "postgres",
  "gateway-admin",
  "enricher-admin",
  "dedup-admin",
  "store-admin",
];
const main = join(import.meta.dirname, "..", "packages", "local", "src", "start.ts");
const FOOTER = "Ctrl-C drains and stops";

let dataDir: string;
let terminal: OnTerminal;
beforeAll(async () => {
  if (!hasTerminal) return;
  dataDir = await mkdtemp(join(tmpdir(), "chowhound-screen-"));
  const ports = PORTS.map((name) => `--${name}-port=0`);
  terminal = await startOnTerminal([findNode(), main, `--data-dir=${dataDir}`, ...ports], {
    columns: 120,
    rows: 40,
  });
}, 120_000);
afterAll(async () => {
  if (!hasTerminal) return;
  terminal.type("\x03");
  await terminal.ended;
  await removePostgresData(join(dataDir, "postgres"));
  await rm(dataDir, { recursive: true, force: true, maxRetries: 10 });
});

/** Waits until the screen is as `check` expects, and returns it. */
const screenWith = (check: (lines: string[]) => void): Promise<string[]> =>
  vi.waitFor(async () => {
    const lines = await terminal.screen();
    check(lines);
    return lines;
  }, WAIT);
const times = (lines: readonly string[], text: string) => lines.filter((line) => line.includes(text)).length;

async function push(dataId: string): Promise<void> {
  const endpoints = JSON.parse(await readFile(join(dataDir, "endpoints.json"), "utf8"));
  const record = {
    sourceType: "note",
    sourceId: "screen",
    dataId,
    data: "x",
    updatedAt: "2026-01-01T00:00:00Z",
  };
  const { status } = await fetch(`${endpoints.http}/chowhound.v1.IngestionService/Ingest`, {
    method: "POST",
    headers: { authorization: `Bearer ${endpoints.key}`, "content-type": "application/json" },
    body: JSON.stringify({ records: [record] }),
  });
  expect(status).toBe(200);
}

it.skipIf(!hasTerminal)(
  "npm start shows the mesh on a terminal, drawn over itself as it changes",
  async () => {
    await screenWith((lines) => {
      for (const service of ["gateway", "enricher", "dedup", "store"])
        expect(lines).toContainEqual(expect.stringMatching(`^${service} +running`));
      expect(lines).toContain("No verdicts yet");
      expect(lines.at(-1) === FOOTER || lines.includes(FOOTER)).toBe(true);
    });
    for (const dataId of ["1", "2"]) {
      await push(dataId);
      const lines = await screenWith((lines) =>
        expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^${dataId} stored \\(`))),
      );
      expect(lines.find((line) => line.startsWith("gateway"))).toMatch(new RegExp(` ${dataId} accepted$`));
    }
    // Over itself: nothing of what was drawn before is left, neither here nor above.
    const all = await terminal.scrollback();
    expect([times(all, "PROCESS"), times(all, FOOTER), times(all, " stored (")]).toEqual([1, 1, 1]);
    // What was said before it stays above.
    expect(times(all, "Push a record:")).toBe(1);
  },
);

it.skipIf(!hasTerminal)("follows the size of the terminal", async () => {
  await terminal.resize({ columns: 60, rows: 12 });
  const narrow = await screenWith((lines) => {
    expect(lines).toHaveLength(12);
    expect(lines).toContain(FOOTER);
    expect(lines.find((line) => line.startsWith("PROCESS"))).not.toContain("SINCE THE START");
  });
  expect(narrow).toContainEqual(expect.stringMatching(/^store +running/));
  const view = narrow.slice(narrow.findIndex((line) => line.startsWith("PROCESS")));
  for (const line of view) expect(line.length).toBeLessThanOrEqual(59);
  // Nothing is left of the wide view, whose lines the terminal has broken.
  expect(await terminal.scrollback()).not.toContainEqual(expect.stringMatching(/ accepted$/));
  await terminal.resize({ columns: 120, rows: 40 });
  await screenWith((lines) =>
    expect(lines.find((line) => line.startsWith("PROCESS"))).toContain("SINCE THE START"),
  );
});

it.skipIf(!hasTerminal)("Ctrl-C takes the view away, drains and stops", async () => {
  terminal.type("\x03");
  expect(await Promise.race([terminal.ended, sleep(30_000, "still running")])).toBe(0);
  const lines = (await terminal.screen()).filter((line) => line !== "");
  expect(lines.at(-1)).toBe("Stopped. The data stays; `npm start` goes on where this ended.");
  expect(times(lines, FOOTER)).toBe(0);
  expect(times(lines, "PROCESS")).toBe(0);
});
