import type { JsonValue } from "@bufbuild/protobuf";
import {
  type GetStatusResponse,
  GetStatusResponseSchema,
  ServiceState,
} from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { defineCommand } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { type ProcessStatus, readStatuses, shortInstanceId, stateName } from "../mesh/process-status.ts";
import { formatCount, formatRate, formatSeconds, printable } from "../output/format.ts";
import { protoJson } from "../output/proto-json.ts";
import type { Cell, Column } from "../output/table.ts";
import { secondsOf } from "../proto-time.ts";

const COLUMNS: readonly Column[] = [
  { title: "SERVICE" },
  { title: "INSTANCE" },
  { title: "STATE" },
  { title: "UPTIME", align: "right" },
  { title: "RECORDS/S", align: "right" },
  { title: "RECORDS", align: "right" },
  { title: "BATCHES BEHIND", align: "right" },
  { title: "~RECORDS", align: "right" },
  { title: "OLDEST", align: "right" },
  { title: "NOTE" },
];

/** Shown in this order, summed over the processes that count them. */
const VERDICTS = ["stored", "updated", "unchanged", "stale", "duplicate", "conflict", "dead_lettered"];

export const command = defineCommand({
  options: (yargs) =>
    yargs.positional("service", {
      type: "string",
      array: true,
      describe: "Only these: gateway, enricher, dedup, store",
    }),
  examples: [
    ["chow status", "Every process of the mesh"],
    ["chow status store", "Every replica of the store"],
    ["chow status --json | jq '.processes[].status.lag'", "For a program"],
  ],
  complete: (_words, cli) => cli.mesh.services(),
  run: async (args, cli) => {
    const statuses = await readStatuses(await cli.mesh.processes(args.service));
    if (cli.out.json) {
      await cli.out.document({ processes: statuses.map(toJson), verdicts: sumVerdicts(statuses) });
    } else {
      await cli.out.table(COLUMNS, statuses.map(toRow));
      const verdicts = Object.entries(sumVerdicts(statuses)).map(
        ([verdict, count]) => `${formatCount(BigInt(count))} ${verdict}`,
      );
      if (verdicts.length > 0) await cli.out.line(`\nVerdicts since the start: ${verdicts.join(", ")}`);
      for (const warning of durabilityWarnings(statuses))
        await cli.out.line(`${cli.out.style("yellow", "Warning:")} ${printable(warning)}`);
    }
    const allRunning = statuses.every(({ status }) => status?.state === ServiceState.RUNNING);
    if (allRunning) return EXIT.ok;
    return statuses.some(({ status }) => status !== undefined) ? EXIT.failed : EXIT.unavailable;
  },
});

function toRow({ process, status, problem }: ProcessStatus): Cell[] {
  if (status === undefined)
    return [process.service, "", { text: "unreachable", style: "red" }, "", "", "", "", "", "", problem];
  const behind = sumLag(status);
  return [
    status.service,
    shortInstanceId(status.instanceId),
    stateCell(status.state),
    status.uptime === undefined ? "" : formatSeconds(secondsOf(status.uptime)),
    formatRate(status.throughput?.recordsPerSecond ?? 0),
    formatCount(status.throughput?.records ?? 0n),
    behind === undefined ? "" : formatCount(behind.batches),
    behind === undefined ? "" : formatCount(behind.records),
    behind?.oldestSeconds === undefined ? "" : formatSeconds(behind.oldestSeconds),
    status.waitingFor.length === 0 ? "" : `waiting for ${status.waitingFor.join(", ")}`,
  ];
}

function stateCell(state: ServiceState): Cell {
  const text = stateName(state);
  return state === ServiceState.RUNNING ? text : { text, style: "yellow" };
}

function sumLag({
  lag,
}: GetStatusResponse): { batches: bigint; records: bigint; oldestSeconds: number | undefined } | undefined {
  if (lag.length === 0) return undefined;
  const ages = lag.flatMap(({ oldestAge }) => (oldestAge === undefined ? [] : [secondsOf(oldestAge)]));
  return {
    batches: lag.reduce((sum, one) => sum + one.pendingBatches + one.unacknowledgedBatches, 0n),
    records: lag.reduce((sum, one) => sum + one.pendingRecordsEstimate, 0n),
    oldestSeconds: ages.length === 0 ? undefined : Math.max(...ages),
  };
}

function sumVerdicts(statuses: readonly ProcessStatus[]): Record<string, string> {
  const sums = VERDICTS.map((verdict): [string, bigint] => [
    verdict,
    statuses.reduce(
      (sum, { status }) =>
        sum + (status?.counters[`chowhound.records.verdicts{chowhound.verdict=${verdict}}`] ?? 0n),
      0n,
    ),
  ]);
  return Object.fromEntries(
    sums.filter(([, sum]) => sum > 0n).map(([verdict, sum]) => [verdict, String(sum)]),
  );
}

/** What a power failure could lose; each once. */
function durabilityWarnings(statuses: readonly ProcessStatus[]): Set<string> {
  const durabilities = statuses.map(({ status }) => status?.durability);
  return new Set(
    durabilities.flatMap((durability) => [
      ...(durability?.accept?.warnings ?? []),
      ...(durability?.commit?.warnings ?? []),
    ]),
  );
}

function toJson({ process, status, problem }: ProcessStatus): JsonValue {
  const { service, address } = process;
  return status === undefined
    ? { service, address, problem }
    : { service, address, status: protoJson(GetStatusResponseSchema, status) };
}
