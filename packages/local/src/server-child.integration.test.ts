import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DataDirInUseError } from "./data-dir-claim.ts";
import { PortInUseError } from "./free-port.ts";
import { isRunning, processStart } from "./process-start.ts";
import { type ServerChildOptions, startServerChild } from "./server-child.ts";

let directory: string;
const parents: ChildProcess[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "chowhound-child-"));
});
afterEach(async () => {
  for (const parent of parents.splice(0)) parent.kill("SIGKILL");
  await rm(directory, { recursive: true });
});

/** A "server" that ignores nothing and does nothing. */
function options(): ServerChildOptions {
  return {
    what: "sleeper",
    command: "sleep",
    args: ["600"],
    logFile: join(directory, "sleeper.log"),
    pidFile: join(directory, "sleeper.pid"),
    stopSignal: "SIGTERM",
    isReady: async () => true,
    log: () => {},
  };
}

/** Another process that starts the sleeper, then runs `then`. */
async function startParent(then: string): Promise<{ parent: ChildProcess; server: number }> {
  const { isReady, log, ...plain } = options();
  const script = `
    import { startServerChild } from ${JSON.stringify(join(import.meta.dirname, "server-child.ts"))};
    const options = { ...${JSON.stringify(plain)}, isReady: async () => true, log: () => {} };
    const server = await startServerChild(options);
    console.log(server.pid);
    ${then}`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  parents.push(parent);
  const [line] = await once(parent.stdout!, "data");
  return { parent, server: Number(line) };
}

async function isGone(pid: number): Promise<boolean> {
  for (let i = 0; i < 100; i++) {
    if (!isRunning(pid, processStart(pid))) return true;
    await sleep(20);
  }
  return false;
}

describe("a server ends with its parent", () => {
  test.each([
    ["exits", "process.exit(0)", undefined],
    ["throws", "setTimeout(() => { throw new Error() })", undefined],
    ["is told to stop and does not handle it", "", "SIGTERM"],
    ["is told to stop and handles it", "process.once('SIGTERM', () => process.exit(3))", "SIGTERM"],
  ] as const)("when it %s", async (_how, then, signal) => {
    const { parent, server } = await startParent(then);
    const ended = once(parent, "exit");
    if (signal) {
      await sleep(100);
      parent.kill(signal);
    }
    await ended;
    expect(await isGone(server)).toBe(true);
  });

  test("but not before a parent that drains first", async () => {
    const { parent, server } = await startParent(`
      process.once("SIGTERM", async () => {
        await new Promise((done) => setTimeout(done, 300));
        await server.stop();
      });`);
    await sleep(100);
    parent.kill("SIGTERM");
    await sleep(150);
    expect(processStart(server)).toBeDefined();
    expect(await once(parent, "exit")).toEqual([0, null]);
    expect(await isGone(server)).toBe(true);
  });
});

test("a server whose parent was killed is stopped by the guard", async () => {
  const { parent, server } = await startParent("");
  parent.kill("SIGKILL");
  await once(parent, "exit");
  expect(await isGone(server)).toBe(true);
});

test("a server left by a parent and a guard that were killed is stopped by the next start", async () => {
  const leftover = spawn("sleep", ["600"], { stdio: "ignore" });
  const gone = spawn("true");
  await once(gone, "exit");
  const { pid } = leftover;
  await writeFile(
    options().pidFile,
    JSON.stringify({ owner: { pid: gone.pid }, server: { pid, start: processStart(pid!) } }),
  );

  const log: string[] = [];
  const next = await startServerChild({ ...options(), log: (line) => log.push(line) });
  expect(log).toEqual([`stopping sleeper (pid ${pid}), left running by a process that was killed`]);
  expect(await isGone(pid!)).toBe(true);
  await next.stop();
});

test("a server whose parent lives is left alone", async () => {
  const { parent, server } = await startParent("");
  const failure = startServerChild(options());
  await expect(failure).rejects.toThrow(DataDirInUseError);
  await expect(failure).rejects.toMatchObject({ pid: parent.pid });
  expect(processStart(server)).toBeDefined();
});

test("one that does not stop is killed", async () => {
  const server = await startServerChild({
    ...options(),
    command: "sh",
    args: ["-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"],
    isReady: async () => (await readFile(options().logFile, "utf8")).includes("deaf"),
    stopTimeoutMs: 100,
  });
  await server.stop();
  expect(await server.exited).toEqual({ code: null, signal: "SIGKILL" });
});

test("a port that a stranger has is an error, whatever answers there", async () => {
  const stranger = createServer().listen(0, "127.0.0.1");
  await once(stranger, "listening");
  const { port } = stranger.address() as AddressInfo;
  const failure = startServerChild({ ...options(), ports: [{ what: "sleeper", port }] });
  await expect(failure).rejects.toThrow(PortInUseError);
  stranger.close();
  await (await startServerChild({ ...options(), ports: [{ what: "sleeper", port }] })).stop();
});

test("a start that is aborted or fails half way leaves nothing running", async () => {
  const abort = new AbortController();
  let pid = 0;
  const aborted = startServerChild({
    ...options(),
    signal: abort.signal,
    isReady: async (started) => {
      pid = started;
      abort.abort(new Error("enough"));
      return false;
    },
  });
  await expect(aborted).rejects.toThrow("enough");
  expect(await isGone(pid)).toBe(true);

  const failed = startServerChild({ ...options(), isReady: () => Promise.reject(new Error("broken")) });
  await expect(failed).rejects.toThrow("broken");
  await (await startServerChild(options())).stop();
});

test("a program that is not there is an error, and gives the directory free again", async () => {
  const missing = { ...options(), command: join(directory, "missing") };
  await expect(startServerChild(missing)).rejects.toThrow(/sleeper did not start: .*ENOENT/);
  await expect(startServerChild(missing)).rejects.toThrow(/ENOENT/);
});
