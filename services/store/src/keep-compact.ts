import { pause } from "@chowhound/shared/runtime/backoff";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { Ledger } from "./ledger.ts";

const EVERY_MS = 5 * 60_000;

/** Folds old invoices into sums from time to time, until `signal` is aborted. Of several replicas one does it. */
export async function keepCompact(
  ledger: Ledger,
  { keepMs, log, signal }: { keepMs: number; log: Logger; signal: AbortSignal },
): Promise<void> {
  if (keepMs === 0) return;
  // Not all replicas at the same moment.
  while (await pause(EVERY_MS * (0.5 + Math.random()), signal)) {
    try {
      const invoices = await ledger.compact(keepMs, signal);
      if (invoices > 0) log.info({ invoices }, "folded old invoices into sums");
    } catch (error) {
      log.warn({ why: (error as Error).message }, "could not fold old invoices; trying again later");
    }
  }
}
