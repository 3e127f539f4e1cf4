import {
  type LocateRecordsResponse,
  LocateRecordsResponseSchema,
  QueryService,
  type RecordFate,
  type StateCount,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import type { Client } from "@connectrpc/connect";
import { UsageError } from "../cli-error.ts";
import { type Cli, defineCommand } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { formatCount, printable } from "../output/format.ts";
import { protoJson } from "../output/proto-json.ts";
import { describeFate, explainFate, formatPipeline, stateName } from "../output/record-fate.ts";
import { parseTime } from "../parse-time.ts";
import { formatTimestamp, timestampOf } from "../proto-time.ts";

const DEFAULT_LIMIT = 100;
/** The most that a page may have. */
const PAGE_FATES = 1000;
const LABEL_WIDTH = 11;

export const command = defineCommand({
  options: (yargs) =>
    yargs
      .positional("id", {
        type: "string",
        array: true,
        demandOption: true,
        describe: "A record's uuid, or a receipt",
      })
      .option("summary", { type: "boolean", describe: "Only how many records came to what" })
      .option("since", {
        type: "string",
        requiresArg: true,
        describe: "For a uuid: search what was accepted since 15m, 2h, 1d ago, or 2026-01-31T10:00:00Z",
      })
      .option("limit", {
        type: "number",
        requiresArg: true,
        default: DEFAULT_LIMIT,
        describe: "At most so many records of a receipt",
      }),
  examples: [
    ["chow where 0198c5a2-7c1e-7d43-9b0e-3f6f0c1d2e4a", "What became of a record, or of all of a call"],
    ["chow where --summary 0198c5a2-7c1e-7d43-9b0e-3f6f0c1d2e4a", "Is all of it in?"],
    ["chow where 0198c5a2-7c1e-7d43-9b0e-3f6f0c1d2e4a --json | jq .fates[].state", "For a program"],
  ],
  run: async ({ id: ids, summary = false, since, limit }, cli) => {
    if (!Number.isInteger(limit) || limit < 1) throw new UsageError("--limit: give a whole number from 1");
    const client = await cli.mesh.gateway(QueryService);
    const from = since === undefined ? {} : { since: timestampOf(parseTime(since, "--since")) };
    let isAllFound = true;
    for (const [index, id] of ids.entries()) {
      const located = await locate(client, { id, ...from }, summary ? 1 : limit);
      isAllFound &&= located.fates.length > 0;
      if (cli.out.json) {
        await cli.out.event({ id, ...(protoJson(LocateRecordsResponseSchema, located) as object) });
        continue;
      }
      if (index > 0) await cli.out.line("");
      await show(id, located, summary, cli);
    }
    return isAllFound ? EXIT.ok : EXIT.failed;
  },
});

/** All pages as one, up to so many fates. */
async function locate(
  client: Client<typeof QueryService>,
  question: { id: string; since?: ReturnType<typeof timestampOf> },
  limit: number,
): Promise<LocateRecordsResponse> {
  const fates: RecordFate[] = [];
  let pageToken = "";
  for (;;) {
    const pageSize = Math.min(PAGE_FATES, limit - fates.length);
    const page = await client.locateRecords({ ...question, pageSize, pageToken });
    fates.push(...page.fates);
    pageToken = page.nextPageToken;
    if (pageToken === "" || fates.length >= limit) return { ...page, fates };
  }
}

async function show(id: string, located: LocateRecordsResponse, isSummary: boolean, cli: Cli): Promise<void> {
  const { fates, counts, gaps, nextPageToken } = located;
  const [first] = fates;
  if (first === undefined) await cli.out.line(`${id}: not found`);
  else if (isSummary || first.receiptId === id.toLowerCase()) {
    await cli.out.line(`${id}: ${sumUp(counts)}`);
    if (!isSummary) await showTable(fates, cli);
  } else {
    for (const [index, fate] of fates.entries()) {
      if (index > 0) await cli.out.line("");
      for (const [label, text] of describeFate(fate)) {
        if (text === "") continue;
        await cli.out.line(`${cli.out.style("bold", label.padEnd(LABEL_WIDTH))}${printable(text)}`);
      }
    }
  }
  if (nextPageToken !== "" && !isSummary)
    cli.out.note(`chow: these are the first ${formatCount(fates.length)}; there are more: --limit N`);
  for (const { where, message } of gaps)
    cli.out.note(`chow: not all was searched: ${where}: ${printable(message)}`);
}

function sumUp(counts: readonly StateCount[]): string {
  const states = counts.map(({ state, count }) => `${formatCount(count)} ${stateName(state)}`).join(", ");
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  return counts.length > 1 ? `${states} (${formatCount(total)} in all)` : states;
}

async function showTable(fates: readonly RecordFate[], cli: Cli): Promise<void> {
  await cli.out.table(
    [
      { title: "UUID" },
      { title: "STATE" },
      { title: "BOOKED" },
      { title: "PIPELINE" },
      { title: "TRACE" },
      { title: "NOTE" },
    ],
    fates.map((fate) => [
      fate.uuid,
      stateName(fate.state),
      formatTimestamp(fate.bookedAt),
      fate.pipelineVersion === undefined ? "" : formatPipeline(fate.pipelineVersion),
      fate.traceId,
      explainFate(fate),
    ]),
  );
}
