import { setTimeout as sleep } from "node:timers/promises";
import { killChildren } from "./end-with-parent.ts";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
// npm passes on the Ctrl-C that the terminal has sent to everybody: what comes within a moment is the same one.
const sameCtrlCMs = 500;

/** The wish to stop, from the terminal or from another process. */
export interface StopSignals {
  /** Aborted at the first signal. */
  signal: AbortSignal;
  /** There was a second one: everything has been killed. */
  isForced: () => boolean;
}

/** Takes over SIGINT, SIGTERM and SIGHUP: the first asks for an orderly stop, the second kills all children. */
export function catchStopSignals(print: (line: string) => void): StopSignals {
  const stop = new AbortController();
  let firstMs: number | undefined;
  let isForced = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (firstMs === undefined) {
      firstMs = performance.now();
      print("\nStopping (Ctrl-C again: at once)");
      stop.abort(new Error(`stopped by ${signal}`));
    } else if (performance.now() - firstMs > sameCtrlCMs && !isForced) {
      isForced = true;
      print("Stopping at once");
      killChildren();
    }
  };
  for (const signal of signals) process.on(signal, onSignal);
  return { signal: stop.signal, isForced: () => isForced };
}

/** Resolves when `signal` is aborted; keeps the process alive until then. */
export async function aborted(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await sleep(60_000, undefined, { signal }).catch(() => {});
}
