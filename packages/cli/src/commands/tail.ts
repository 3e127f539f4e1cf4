import type { JsonObject } from "@bufbuild/protobuf";
import {
  type TappedRecord,
  TappedRecordSchema,
  TapService,
} from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import { ConnectError } from "@connectrpc/connect";
import { UsageError } from "../cli-error.ts";
import { defineCommand } from "../command.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { explainCallError } from "../explain-error.ts";
import type { AdminProcess } from "../mesh/mesh.ts";
import { formatCount, printable } from "../output/format.ts";
import type { Output } from "../output/output.ts";
import { protoJson } from "../output/proto-json.ts";
import { formatTimestamp } from "../proto-time.ts";

const OUTCOMES = [
  "accepted",
  "rejected",
  "enriched",
  "dead_lettered",
  "passed",
  "duplicate",
  "stored",
  "updated",
  "unchanged",
  "stale",
  "conflict",
] as const;

const BAD_OUTCOMES: readonly string[] = ["rejected", "dead_lettered", "conflict"];
const OUTCOME_WIDTH = Math.max(...OUTCOMES.map((outcome) => outcome.length));

export const command = defineCommand({
  options: (yargs) =>
    yargs
      .positional("service", {
        type: "string",
        demandOption: true,
        describe: "Where to look: all its replicas",
      })
      .option("tenant", { type: "string", requiresArg: true, describe: "Only records of this tenant" })
      .option("source-type", { type: "string", requiresArg: true, describe: "Only of this kind of source" })
      .option("source-id", { type: "string", requiresArg: true, describe: "Only of this source" })
      .option("outcome", { choices: OUTCOMES, array: true, describe: "Only with this outcome; repeatable" })
      .option("sample", {
        type: "number",
        requiresArg: true,
        describe: "Show this share of them, such as 0.01",
      })
      .option("rate", {
        type: "number",
        requiresArg: true,
        describe: "At most so many a second from each process [default: 100; at most 1000]",
      })
      .option("content", {
        type: "number",
        requiresArg: true,
        describe: "Show so many bytes of data and of metadata [at most 4096]",
      })
      .option("limit", { type: "number", requiresArg: true, describe: "End after so many records" }),
  examples: [
    ["chow tail store", "What is being stored, until Ctrl-C"],
    ["chow tail enricher --outcome dead_lettered --content 200", "What fails, and what is in it"],
    ["chow tail gateway --tenant acme --json | jq .dataId", "For a program: one record per line"],
  ],
  complete: (words, cli) => (words.length <= 1 ? cli.mesh.services() : Promise.resolve([])),
  run: async (args, cli) => {
    const request = {
      tenantId: args.tenant ?? "",
      sourceType: args.sourceType ?? "",
      sourceId: args.sourceId ?? "",
      outcomes: [...(args.outcome ?? [])],
      sampleRatio: checkRange("--sample", args.sample ?? 1, { above: 0, upTo: 1 }),
      maxRecordsPerSecond: checkRange("--rate", args.rate ?? 100, { above: 0, upTo: 1000, whole: true }),
      maxContentBytes: checkRange("--content", args.content ?? 0, { above: -1, upTo: 4096, whole: true }),
    };
    let left = checkRange("--limit", args.limit ?? 2 ** 31, { above: 0, upTo: 2 ** 31, whole: true });
    const enough = new AbortController();

    const follow = async (process: AdminProcess): Promise<ExitCode> => {
      const calls = { signal: enough.signal };
      try {
        for await (const { records, skipped } of process.client(TapService).tail(request, calls)) {
          for (const record of records) {
            // While one is shown, another process may have shown the last.
            if (left === 0) break;
            left -= 1;
            await show(cli.out, process, record);
          }
          if (skipped > 0n) cli.out.note(`${process.address}: skipped ${formatCount(skipped)}`);
          if (left === 0) enough.abort();
        }
        cli.out.note(`${process.address}: ended`);
        return EXIT.unavailable;
      } catch (error) {
        if (enough.signal.aborted || cli.signal.aborted) return EXIT.ok;
        const { lines, exitCode } = explainCallError(ConnectError.from(error));
        cli.out.note(`chow: ${lines.join("\n")}`);
        return exitCode;
      }
    };
    const codes = await Promise.all((await cli.mesh.processes([args.service])).map(follow));
    return codes.find((code) => code !== EXIT.ok);
  },
});

async function show(out: Output, process: AdminProcess, record: TappedRecord): Promise<void> {
  if (out.json) {
    const { service, address } = process;
    await out.event({ service, address, ...(protoJson(TappedRecordSchema, record) as JsonObject) });
    return;
  }
  const outcome = record.outcome.padEnd(OUTCOME_WIDTH);
  const key = [record.sourceType, record.sourceId, record.dataId].join("/");
  await out.line(
    [
      formatTimestamp(record.at).slice(11, 23),
      BAD_OUTCOMES.includes(record.outcome) ? out.style("red", outcome) : outcome,
      printable(record.tenantId),
      printable(key),
      printable([record.reason, record.detail].filter(Boolean).join(": ")),
    ]
      .join("  ")
      .trimEnd(),
  );
  for (const content of [record.data, record.metadataJson])
    if (content !== "") await out.line(`    ${out.style("dim", printable(content))}`);
}

function checkRange(
  option: string,
  value: number,
  { above, upTo, whole = false }: { above: number; upTo: number; whole?: boolean },
): number {
  if (value > above && value <= upTo && (!whole || Number.isInteger(value))) return value;
  const what = whole ? `a whole number from ${above + 1}` : `a number above ${above}`;
  throw new UsageError(`${option}: give ${what} to ${upTo}`);
}
