import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import {
  canMeasureCpu,
  cpuTimeUs,
  endedChildrenCpuTimeUs,
  machineCpuTimeUs,
  parseTimes,
} from "./cpu-time.ts";

/** Uses 100 ms of CPU, however busy the machine is. */
const burn = "while (process.cpuUsage().user < 100_000);";
const saysDoneAndStays = "console.log('done'); setInterval(() => {}, 1000);";

test("reads the times after a command name with spaces and parentheses", () => {
  const stat = `42 (a (b) c) S 1 42 42 0 -1 4194560 100 200 0 0 7 3 20 5 20 0 1 0 12345 1000 50`;
  expect(parseTimes(stat)).toEqual({ ownUs: 100_000, waitedForUs: 250_000 });
});

test.skipIf(!canMeasureCpu).each([
  [
    "lives",
    `spawn(process.execPath, ['-e', inner], { stdio: 'inherit' })`,
    `${burn} ${saysDoneAndStays}`,
    "",
  ],
  ["has ended", "execFileSync(process.execPath, ['-e', inner])", burn, saysDoneAndStays],
])("counts a child of a process that %s", async (_, start, inner, then) => {
  const script = `
    const { execFileSync, spawn } = require('node:child_process');
    const inner = ${JSON.stringify(inner)};
    ${start};
    ${then}`;
  // A group of their own, to end them together.
  const child = spawn(process.execPath, ["-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  try {
    await once(child.stdout, "data");
    expect(cpuTimeUs(child.pid!)).toBeGreaterThan(80_000);
  } finally {
    process.kill(-child.pid!, "SIGKILL");
    await once(child, "exit");
  }
});

test.skipIf(!canMeasureCpu)("counts what has been started and has ended", () => {
  const before = endedChildrenCpuTimeUs()!;
  const machineBefore = machineCpuTimeUs()!;
  execFileSync(process.execPath, ["-e", burn]);
  expect(endedChildrenCpuTimeUs()! - before).toBeGreaterThan(80_000);
  expect(machineCpuTimeUs()! - machineBefore).toBeGreaterThan(80_000);
});
