import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { findNode } from "./node-binary.ts";
import type { GuardMessage } from "./orphan-guard.ts";
import { noteProcess, type ProcessNote } from "./stop-process.ts";

const children = new Map<ChildProcess, { noted: ProcessNote; stopSignal: NodeJS.Signals }>();
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
let guard: ChildProcess | undefined;

/**
 * Sees to it that the child is told to stop when this process ends: by itself, by an uncaught error, by a signal
 * nobody else handles (a handler elsewhere keeps the last word: it may want to drain first), or killed outright.
 */
export function endWithParent(child: ChildProcess, stopSignal: NodeJS.Signals): void {
  if (children.size === 0) {
    process.on("exit", stopAll);
    // First in line: a `once` handler would already have removed itself, and we couldn't see that it was there.
    for (const signal of signals) process.prependListener(signal, onSignal);
  }
  const noted = noteProcess(child.pid!);
  children.set(child, { noted, stopSignal });
  tellGuard({ child: noted, stopSignal });
  child.once("exit", () => {
    children.delete(child);
    tellGuard({ child: noted });
    if (children.size > 0) return;
    process.off("exit", stopAll);
    for (const signal of signals) process.off(signal, onSignal);
    guard?.stdin?.end();
    guard = undefined;
  });
}

/** Kills all children, whoever waits for them to stop or to start: for a user who has no patience left. */
export function killChildren(): void {
  for (const child of children.keys()) child.kill("SIGKILL");
}

function stopAll(): void {
  for (const [child, { stopSignal }] of children) child.kill(stopSignal);
}

function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  stopAll();
  process.off(signal, onSignal);
  process.kill(process.pid, signal);
}

function tellGuard(message: GuardMessage): void {
  guard ??= startGuard();
  guard.stdin?.write(`${JSON.stringify(message)}\n`);
}

/** Its own process group, and nothing that keeps this process alive. */
function startGuard(): ChildProcess {
  const started = spawn(findNode(), [join(import.meta.dirname, "orphan-guard.ts")], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: process.platform !== "win32",
    env: { PATH: process.env.PATH },
  });
  started.on("error", () => {});
  started.stdin?.on("error", () => {});
  started.unref();
  (started.stdin as unknown as { unref(): void } | null)?.unref();
  return started;
}
