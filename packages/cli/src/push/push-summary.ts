import type { JsonObject } from "@bufbuild/protobuf";
import { formatCount, formatRate, formatSeconds } from "../output/format.ts";
import type { Tally } from "./tally.ts";

/** How a push has ended. */
export interface PushSummary {
  tally: Tally;
  /** Every record of the files has been answered. */
  isComplete: boolean;
  isDryRun: boolean;
  traceId: string | undefined;
  /** Where it is noted how to go on. */
  statePath: string | undefined;
}

export function describeTally({ tally, isComplete, isDryRun, traceId, statePath }: PushSummary): string[] {
  const { accepted, rejected, byReason, earlier, firstReceiptId, lastReceiptId } = tally;
  const reasons = [...byReason].sort(([, a], [, b]) => b - a);
  const lines = [
    `${formatCount(accepted)} ${isDryRun ? "fit to be pushed" : "accepted"}, ${formatCount(rejected)} rejected ` +
      `in ${formatSeconds(tally.seconds)} (${formatRate(tally.recordsPerSecond)} records/s)`,
    ...(earlier.accepted + earlier.rejected === 0
      ? []
      : [
          `  ${formatCount(earlier.accepted)} accepted and ${formatCount(earlier.rejected)} rejected of these before it went on`,
        ]),
    ...reasons.map(([reason, count]) => `  ${formatCount(count)} ${reason} (docs/errors.md#${reason})`),
  ];
  if (firstReceiptId !== undefined)
    lines.push(
      lastReceiptId === firstReceiptId
        ? `Receipt ${firstReceiptId}`
        : `Receipts ${firstReceiptId} to ${lastReceiptId}`,
    );
  if (traceId !== undefined) lines.push(`Trace ${traceId}`);
  if (!isComplete && !isDryRun)
    lines.push(
      statePath === undefined
        ? "Not all was pushed. Push again: what is in already is not landed twice"
        : `Not all was pushed. The same command goes on from here (${statePath})`,
    );
  return lines;
}

export function tallyToJson({ tally, isComplete, isDryRun, traceId, statePath }: PushSummary): JsonObject {
  return {
    complete: isComplete,
    dryRun: isDryRun,
    accepted: tally.accepted,
    rejected: tally.rejected,
    rejectedByReason: Object.fromEntries(tally.byReason),
    earlier: tally.earlier,
    seconds: Math.round(tally.seconds * 1000) / 1000,
    recordsPerSecond: Math.round(tally.recordsPerSecond),
    ...(tally.firstReceiptId !== undefined && {
      firstReceiptId: tally.firstReceiptId,
      lastReceiptId: tally.lastReceiptId!,
    }),
    ...(traceId !== undefined && { traceId }),
    ...(statePath !== undefined && !isComplete && { state: statePath }),
  };
}
