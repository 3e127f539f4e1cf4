import {
  type LandedRecord,
  LandedRecordSchema,
  QueryService,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { checkCount } from "../check-count.ts";
import { UsageError } from "../cli-error.ts";
import { type Cli, defineCommand } from "../command.ts";
import { csvRow } from "../output/csv.ts";
import { clip, formatCount } from "../output/format.ts";
import { type LandedRow, toLandedRow } from "../output/landed-record.ts";
import { protoJson } from "../output/proto-json.ts";
import { parseTime } from "../parse-time.ts";
import { timestampOf } from "../proto-time.ts";

const OUTPUTS = ["table", "ndjson", "csv"] as const;
const DEFAULT_LIMIT = 100;
/** The most that a page may have. */
const PAGE_RECORDS = 1000;

const CSV_COLUMNS = [
  "sourceType",
  "sourceId",
  "dataId",
  "uuid",
  "version",
  "storedAt",
  "acceptedAt",
  "createdAt",
  "updatedAt",
  "pipelineVersion",
  "lang",
  "metadataType",
  "receiptId",
  "traceId",
  "data",
  "metadata",
  "attributes",
] as const satisfies (keyof LandedRow)[];

export const command = defineCommand({
  options: (yargs) =>
    yargs
      .option("source-type", { type: "string", requiresArg: true, describe: "Only of this kind of source" })
      .option("source-id", {
        type: "string",
        requiresArg: true,
        implies: "source-type",
        describe: "Only of this source; needs --source-type",
      })
      .option("since", {
        type: "string",
        requiresArg: true,
        describe: "Only what was stored since: 15m, 2h, 1d ago, or 2026-01-31T10:00:00Z",
      })
      .option("before", { type: "string", requiresArg: true, describe: "Only what was stored before" })
      .option("limit", {
        type: "number",
        requiresArg: true,
        describe: `At most so many records [default: ${DEFAULT_LIMIT}]`,
      })
      .option("all", { type: "boolean", conflicts: "limit", describe: "All that match, page by page" })
      .option("output", { alias: "o", choices: OUTPUTS, describe: "[default: table; ndjson with --json]" }),
  examples: [
    ["chow query --since 15m", "What was stored in the last quarter of an hour"],
    ["chow query --source-type npm-package --all -o csv > packages.csv", "Everything of one kind, as CSV"],
    ["chow query --json --limit 5 | jq .record.dataId", "For a program: one record per line"],
  ],
  run: async (args, cli) => {
    const { sourceType = "", sourceId = "", since, before, all } = args;
    const limit =
      all === true ? Number.POSITIVE_INFINITY : checkCount(args.limit ?? DEFAULT_LIMIT, "--limit");
    const write = WRITERS[chooseOutput(args.output, cli)](cli);
    const client = await cli.mesh.gateway(QueryService);
    const selection = {
      sourceType,
      sourceId,
      ...(since !== undefined && { storedSince: timestampOf(parseTime(since, "--since")) }),
      ...(before !== undefined && { storedBefore: timestampOf(parseTime(before, "--before")) }),
    };
    let count = 0;
    let pageToken = "";
    do {
      const pageSize = Math.min(PAGE_RECORDS, limit - count);
      const page = await client.listRecords({ ...selection, pageSize, pageToken });
      await write(page.records, count === 0);
      count += page.records.length;
      pageToken = page.nextPageToken;
    } while (pageToken !== "" && count < limit && !cli.signal.aborted);
    if (pageToken !== "" && !cli.signal.aborted)
      cli.out.note(`chow: these are the first ${formatCount(count)}; there are more: --limit N or --all`);
  },
});

/** Writes one page; told whether it is the first. */
type PageWriter = (records: readonly LandedRecord[], isFirst: boolean) => Promise<void>;

const WRITERS: Record<(typeof OUTPUTS)[number], (cli: Cli) => PageWriter> = {
  table:
    ({ out }) =>
    async (records) => {
      const rows = records.map(toLandedRow);
      const dataWidth = out.isTty ? Math.max(20, out.columns - 90) : 60;
      await out.table(
        [
          { title: "SOURCE" },
          { title: "DATA_ID" },
          { title: "VERSION" },
          { title: "STORED" },
          { title: "DATA" },
        ],
        rows.map((row) => [
          `${row.sourceType}/${row.sourceId}`,
          row.dataId,
          row.version,
          row.storedAt,
          clip(row.data, dataWidth),
        ]),
      );
    },
  ndjson:
    ({ out }) =>
    async (records) => {
      for (const record of records) await out.event(protoJson(LandedRecordSchema, record));
    },
  csv:
    ({ out }) =>
    async (records, isFirst) => {
      if (isFirst) await out.line(csvRow(CSV_COLUMNS));
      for (const record of records) {
        const row = toLandedRow(record);
        const cells = CSV_COLUMNS.map((name) => {
          const value = row[name];
          return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
        });
        await out.line(csvRow(cells));
      }
    },
};

function chooseOutput(output: (typeof OUTPUTS)[number] | undefined, { out }: Cli): (typeof OUTPUTS)[number] {
  if (!out.json) return output ?? "table";
  if (output !== undefined && output !== "ndjson")
    throw new UsageError(`--json and --output ${output} exclude each other`);
  return "ndjson";
}
