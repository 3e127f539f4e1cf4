/**
 * A process of its own that outlives its parent for a moment: it learns over standard input which children the parent
 * has, and stops those left when the parent is gone without a word (killed, out of memory). Started by end-with-parent.ts.
 */
import { createInterface } from "node:readline";
import { type ProcessNote, stopProcess } from "./stop-process.ts";

/** One line of input: a child has started, or (no signal) has ended. */
export interface GuardMessage {
  child: ProcessNote;
  stopSignal?: NodeJS.Signals;
}

// A signal to the parent's whole group is the parent's affair; that it is gone shows at the end of the input.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});

const children = new Map<number, Required<GuardMessage>>();
for await (const line of createInterface({ input: process.stdin })) {
  const { child, stopSignal } = JSON.parse(line) as GuardMessage;
  if (stopSignal === undefined) children.delete(child.pid);
  else children.set(child.pid, { child, stopSignal });
}
await Promise.allSettled(
  [...children.values()].map(({ child, stopSignal }) => stopProcess(child, stopSignal)),
);
