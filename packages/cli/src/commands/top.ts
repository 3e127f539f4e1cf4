import type { JsonObject } from "@bufbuild/protobuf";
import { UsageError } from "../cli-error.ts";
import { type Cli, defineCommand } from "../command.ts";
import { startLiveScreen } from "../screen/live-screen.ts";
import type { CountView, MeshView } from "../screen/mesh-view.ts";
import { renderMesh } from "../screen/render-mesh.ts";
import { watchMesh } from "../screen/watch-mesh.ts";

export const command = defineCommand({
  options: (yargs) => yargs.option("once", { type: "boolean", describe: "Show it once and end" }),
  examples: [
    ["chow top", "The mesh on one screen, every second; q ends it"],
    ["chow top --once", "One look, for a script or a ticket"],
    ["chow top --json | jq '.verdicts.stored'", "A line of JSON every second"],
  ],
  run: async (args, cli) => {
    const find = () => cli.mesh.processes();
    if (!args.once && !cli.out.json) {
      if (!cli.out.isTty)
        throw new UsageError("chow top draws on a terminal; give --once or --json for anything else");
      const ended = endOnKey(cli);
      try {
        await startLiveScreen({ find, output: cli.out.stdout, footer: "q ends", signal: ended.signal })
          .stopped;
      } finally {
        ended.release();
      }
      return undefined;
    }
    let count = 0;
    for await (const view of watchMesh(find, cli.signal)) {
      // Rates take two looks.
      if (args.once && ++count < 2) continue;
      if (cli.out.json) await cli.out.event(toJson(view));
      else
        for (const line of renderMesh(
          view,
          { columns: cli.out.columns, rows: Number.POSITIVE_INFINITY },
          cli.out.style,
        ))
          await cli.out.line(line);
      if (args.once) break;
    }
    return undefined;
  },
});

/** Ends with q, Escape or Ctrl-C: a terminal that passes on single keys passes on that one too. */
function endOnKey(cli: Cli): { signal: AbortSignal; release(): void } {
  const ended = new AbortController();
  const stdin = cli.stdin as Cli["stdin"] & Partial<Pick<NodeJS.ReadStream, "setRawMode">>;
  const onKey = (key: Buffer): void => {
    if (["q", "Q", "\x1b", "\x03", "\x04"].includes(key.toString())) ended.abort();
  };
  if (stdin.isTTY === true) {
    stdin.setRawMode?.(true);
    stdin.on("data", onKey);
  }
  return {
    signal: AbortSignal.any([cli.signal, ended.signal]),
    release: () => {
      if (stdin.isTTY !== true) return;
      stdin.off("data", onKey);
      stdin.setRawMode?.(false);
      stdin.pause();
    },
  };
}

function toJson({ at, processes, verdicts }: MeshView): JsonObject {
  const totals = (counts: readonly CountView[]) =>
    Object.fromEntries(counts.map(({ name, total }) => [name, total]));
  return {
    at: at.toISOString(),
    processes: processes.map(({ name, state, troubles, throughput, lag, counts }) => ({
      name,
      state,
      troubles,
      ...(throughput !== undefined && {
        records: throughput.records,
        recordsPerSecond: throughput.recordsPerSecond,
      }),
      ...(lag !== undefined && {
        lag: { batches: lag.batches, records: lag.records, oldestSeconds: lag.oldestSeconds ?? null },
      }),
      counts: totals(counts),
    })),
    verdicts: Object.fromEntries(
      verdicts.map(({ name, total, perSecond }) => [name, { total, perSecond: perSecond }]),
    ),
  };
}
