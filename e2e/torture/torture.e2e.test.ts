import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { removePostgresData } from "@chowhound/local/postgres";
import { describe, expect, inject, it } from "vitest";
import { natsServerNames } from "../faults/harness/fault-mesh.ts";
import type { FaultKind } from "./fault-kind.ts";
import { FAULT_KINDS, SABOTAGE_KINDS } from "./fault-kinds.ts";
import { planRound } from "./plan.ts";
import { runTorture, type TortureOptions } from "./run-torture.ts";

const PATIENCE_MS = 300_000;

function choose(from: ReadonlyMap<string, FaultKind>, names: readonly string[]): Map<string, FaultKind> {
  return new Map(names.map((name) => [name, from.get(name)!]));
}

/** Two that it certainly suffers, and what may come on top. */
const STOOD = choose(FAULT_KINDS, [
  "kill",
  "kill-at-boundary",
  "cut",
  "bad-pipeline",
  "kill-server",
  "restore-database",
  "killer-record",
]);

function play(options: Pick<TortureOptions, "seed" | "maxRounds" | "kinds">, lines: string[]) {
  return runTorture({
    ...options,
    maxMs: Infinity,
    natsServers: 1,
    keepFiles: false,
    signal: new AbortController().signal,
    onLine: (line) => lines.push(line),
  });
}

describe("a torture", () => {
  it(
    "INV-1 to INV-4: a round of it is stood",
    async (context) => {
      context.skip(!inject("natsIsCurrent"), "nats-server is too old to be killed");
      const lines: string[] = [];
      const seed = seedWith(STOOD, ["restore-database", "killer-record"]);
      const { findings, audits, faults } = await play({ seed, maxRounds: 1, kinds: STOOD }, lines);
      expect(findings, lines.join("\n")).toEqual([]);
      expect(audits).toBe(1);
      expect(faults.length).toBeGreaterThan(1);
    },
    PATIENCE_MS,
  );

  it(
    "finds what was lost, ends with exit code 1, and says how to play it again",
    async ({ signal }) => {
      const names = ["delete-a-row", "lose-a-message", "revert-a-row"];
      const seed = seedWith(choose(SABOTAGE_KINDS, names), names);
      const flags = `--seed ${seed} --rounds 1 --faults ${names.join(",")} --nats 1`;
      const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), ...flags.split(" ")], {
        stdio: ["ignore", "pipe", "inherit"],
        signal, // of a test that took too long: its mesh ends with it
        killSignal: "SIGKILL",
      });
      const [output, code] = await Promise.all([
        text(child.stdout),
        new Promise((resolve, reject) => child.once("exit", resolve).once("error", reject)),
      ]);
      const dataDir = /^Logs and data: (.*)$/m.exec(output)?.[1];
      expect(dataDir, output).toBeDefined();
      await removeFiles(dataDir!);

      expect(code, output).toBe(1);
      expect(output).toMatch(/^FOUND: number_missing \d+-\d+/m);
      expect(output).toMatch(/^FOUND: rows_differ /m);
      expect(output).toMatch(/^FOUND: .*: version 1 although \d+ was accepted/m);
      expect(output).toContain(`npm run torture -- ${flags}`);
    },
    PATIENCE_MS,
  );

  it(
    "finds out that a database was set back of which nobody was told",
    async () => {
      const lines: string[] = [];
      const kinds = choose(SABOTAGE_KINDS, ["restore-in-silence"]);
      const { findings, dataDirs } = await play(
        { seed: seedWith(kinds, [...kinds.keys()]), maxRounds: 1, kinds },
        lines,
      );
      for (const dataDir of dataDirs) await removeFiles(dataDir);
      expect(findings, lines.join("\n")).toContainEqual(expect.stringMatching(/^number_missing \d+-\d+/));
    },
    PATIENCE_MS,
  );
});

async function removeFiles(dataDir: string): Promise<void> {
  await removePostgresData(join(dataDir, "postgres"));
  await rm(dataDir, { recursive: true });
}

/**
 * The first one whose first round does all of these, and each once, under one load of small calls: what is sent again is soon booked. While one
 * fault is got over, another one of the same kind could undo what shows that it is.
 */
function seedWith(kinds: ReadonlyMap<string, FaultKind>, names: readonly string[]): number {
  for (let seed = 1; ; seed++) {
    const { loads, faults } = planRound(seed, 1, kinds, natsServerNames(1));
    const played = faults.map(({ fault }) => fault.kind);
    const isLight = loads.length === 1 && loads[0]!.name.startsWith("small");
    if (isLight && played.length === names.length && names.every((name) => played.includes(name)))
      return seed;
  }
}
