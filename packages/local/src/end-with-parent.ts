import type { ChildProcess } from "node:child_process";

const children = new Map<ChildProcess, NodeJS.Signals>();
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Sees to it that the child is told to stop when this process ends: by itself, by an uncaught error, or by a
 * signal nobody else handles. A handler elsewhere keeps the last word: it may want to drain first.
 */
export function endWithParent(child: ChildProcess, stopSignal: NodeJS.Signals): void {
  if (children.size === 0) {
    process.on("exit", stopAll);
    // First in line: a `once` handler would already have removed itself, and we couldn't see that it was there.
    for (const signal of signals) process.prependListener(signal, onSignal);
  }
  children.set(child, stopSignal);
  child.once("exit", () => {
    children.delete(child);
    if (children.size > 0) return;
    process.off("exit", stopAll);
    for (const signal of signals) process.off(signal, onSignal);
  });
}

function stopAll(): void {
  for (const [child, stopSignal] of children) child.kill(stopSignal);
}

function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  stopAll();
  process.off(signal, onSignal);
  process.kill(process.pid, signal);
}
