import { AdminService, type GetStatusResponse } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { verdicts } from "../books.ts";
import { createGrpcClient } from "../grpc-client.ts";
import type { ProducerCounts } from "./producer.ts";

/** Shows how records pass through the mesh, until it is stopped. */
export interface LiveProgress {
  stop(): Promise<void>;
}

const terminalEveryMs = 250;
const plainEveryMs = 2_000;

/** On a terminal one line per stage, which is rewritten in place; elsewhere the same lines now and then. */
export function startLiveProgress(options: {
  /** Admin addresses by process name. */
  admin: Readonly<Record<string, string>>;
  counts: ProducerCounts;
  /** Aborted: draws no more. */
  signal: AbortSignal;
  output: NodeJS.WriteStream;
}): LiveProgress {
  const { output, counts, signal } = options;
  const isTerminal = output.isTTY === true;
  const clients = Object.entries(options.admin).map(([name, address]) => ({
    name,
    client: createGrpcClient(AdminService, address, { timeoutMs: 2_000 }),
  }));
  let drawnLines = 0;
  const draw = async (): Promise<void> => {
    const stages = await Promise.all(
      clients.map(async ({ name, client }) => {
        const status = await client.calls.getStatus({}).catch(() => undefined);
        return stageLine(name, status);
      }),
    );
    if (signal.aborted) return;
    const lines = [producerLine(counts), ...stages].map((line) => `  ${line}`);
    const width = isTerminal ? (output.columns || 80) - 1 : Number.POSITIVE_INFINITY;
    const goBack = isTerminal && drawnLines > 0 ? `\x1b[${drawnLines}A` : "";
    output.write(
      goBack + lines.map((line) => `${isTerminal ? "\x1b[2K" : ""}${line.slice(0, width)}\n`).join(""),
    );
    drawnLines = lines.length;
  };

  let isStopped = false;
  let wake = (): void => {};
  const drawing = (async () => {
    while (!isStopped) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, isTerminal ? terminalEveryMs : plainEveryMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      await draw();
    }
  })();
  return {
    async stop() {
      isStopped = true;
      wake();
      await drawing;
      for (const { client } of clients) client.close();
    },
  };
}

function producerLine({ pushed, accepted, rejected }: ProducerCounts): string {
  return `${"producer".padEnd(9)} ${count(pushed)} pushed: ${accepted} accepted, ${rejected} rejected`;
}

function stageLine(name: string, status: GetStatusResponse | undefined): string {
  if (status === undefined) return `${name.padEnd(9)} does not answer`;
  const { records, recordsPerSecond } = status.throughput ?? { records: 0n, recordsPerSecond: 0 };
  const behind = status.lag.reduce((sum, lag) => sum + lag.pendingBatches + lag.unacknowledgedBatches, 0n);
  const parts = [`${count(records)} records`, `${recordsPerSecond.toFixed(0).padStart(5)}/s`];
  if (status.lag.length > 0) parts.push(`${behind} batches behind`);
  const booked = verdicts
    .map((verdict) => ({ verdict, number: status.counters[`verdict.${verdict}`] ?? 0n }))
    .filter(({ number }) => number > 0n);
  if (booked.length > 0) parts.push(booked.map(({ verdict, number }) => `${verdict} ${number}`).join(", "));
  return `${name.padEnd(9)} ${parts.join("  ")}`;
}

function count(number: number | bigint): string {
  return String(number).padStart(6);
}
