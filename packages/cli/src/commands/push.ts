import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { UsageError } from "../cli-error.ts";
import { type Cli, defineCommand } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { explainCallError } from "../explain-error.ts";
import { formatSeconds, printable } from "../output/format.ts";
import { type ProgressDisplay, showProgress } from "../output/show-progress.ts";
import { parseSpan } from "../parse-time.ts";
import { type CsvOptions, FIELD_NAMES, OPEN_FIELDS, TIME_FORMS } from "../push/csv-record.ts";
import type { RecordDefaults } from "../push/encode-record.ts";
import { checkInput, FORMATS, type Input } from "../push/input.ts";
import { createLineFile, openLineFile } from "../push/line-file.ts";
import { createClock } from "../push/push-clock.ts";
import { identifyPush } from "../push/push-identity.ts";
import { defaultStatePath, openPushState, type PushState } from "../push/push-state.ts";
import { describeTally, tallyToJson } from "../push/push-summary.ts";
import { type Progress, renderProgress } from "../push/render-progress.ts";
import { type PushOptions, runPush } from "../push/run-push.ts";
import { Tally } from "../push/tally.ts";

/** More are counted, and kept with --rejected. */
const SHOWN_REJECTIONS = 20;
/** What is in flight at Ctrl-C has so long to be answered. */
const FINISH_MS = 10_000;

const SOURCE = "Records:";
const CSV = "CSV:";
const RUN = "The push:";

export const command = defineCommand({
  options: (yargs) =>
    yargs
      .positional("file", {
        type: "string",
        array: true,
        demandOption: true,
        describe: "Files of records, also packed with gzip (.gz); - is standard input",
      })
      .option("format", {
        group: SOURCE,
        choices: FORMATS,
        describe: "What the files hold; else told by their names, and NDJSON from standard input",
      })
      .option("source-type", {
        group: SOURCE,
        type: "string",
        requiresArg: true,
        describe: "source_type of records without",
      })
      .option("source-id", {
        group: SOURCE,
        type: "string",
        requiresArg: true,
        describe: "source_id of records without",
      })
      .option("metadata-type", {
        group: SOURCE,
        type: "string",
        requiresArg: true,
        describe: "metadata_type of records without",
      })
      .option("lang", {
        group: SOURCE,
        type: "string",
        requiresArg: true,
        describe: "lang of records without",
      })
      .option("now", {
        group: SOURCE,
        type: "boolean",
        describe: "Give records without any time that at which they are read as updated_at",
      })
      .option("delimiter", {
        group: CSV,
        type: "string",
        requiresArg: true,
        describe: "What separates cells, one character or tab; a comma, or a tab in .tsv",
      })
      .option("column", {
        group: CSV,
        type: "string",
        array: true,
        requiresArg: true,
        describe: "FIELD=COLUMN: a field whose column has another name, such as data_id=sku; repeatable",
      })
      .option("columns-to", {
        group: CSV,
        choices: OPEN_FIELDS,
        default: "metadata" as const,
        describe: "Where columns go that are no field",
      })
      .option("times", {
        group: CSV,
        choices: TIME_FORMS,
        default: "rfc3339" as const,
        describe: "How created_at and updated_at are written",
      })
      .option("dry-run", { group: RUN, type: "boolean", describe: "Read and check only; nothing is sent" })
      .option("resume", {
        group: RUN,
        type: "boolean",
        describe: "Note how far it is, and go on where the last push of these files was interrupted",
      })
      .option("state", {
        group: RUN,
        type: "string",
        requiresArg: true,
        describe: "The file for --resume; else one in .chow-push/ here",
      })
      .option("rejected", {
        group: RUN,
        type: "string",
        requiresArg: true,
        describe: "Write rejected records here as NDJSON, with file, line, reason and text",
      })
      .option("receipts", {
        group: RUN,
        type: "string",
        requiresArg: true,
        describe: "Write the receipts here as NDJSON, with file and lines",
      })
      .option("fail-fast", { group: RUN, type: "boolean", describe: "Stop at the first rejected record" })
      .option("max-retry-time", {
        group: RUN,
        type: "string",
        default: "5m",
        requiresArg: true,
        describe: "How long to try again while the mesh is away or full",
      })
      .option("trace", {
        group: RUN,
        type: "boolean",
        describe: "Have this push traced, and tell its trace id",
      })
      .option("quiet", {
        group: RUN,
        type: "boolean",
        describe: "Show no progress and no single rejections",
      }),
  examples: [
    ["chow push records.ndjson", "One record per line, as JSON"],
    [
      "chow push notes.csv --source-type note --source-id mine --column data_id=sku",
      "Columns become fields and metadata",
    ],
    ["chow push big-*.ndjson.gz --resume --rejected rejected.ndjson", "Can be interrupted and started again"],
    ["tail -f app.ndjson | chow push - --now", "As lines come"],
  ],
  run: async (args, cli) => {
    const { file: files } = args;
    const maxRetryMs = parseSpan(args.maxRetryTime);
    if (maxRetryMs === undefined)
      throw new UsageError(
        `--max-retry-time: ${JSON.stringify(args.maxRetryTime)} is no time span such as 30s or 5m`,
      );
    if (files.filter((name) => name === "-").length > 1)
      throw new UsageError("standard input (-) can be read only once");
    for (const name of files) await checkInput(name, args.format);
    const csv = readCsvOptions(args);
    const defaults = readDefaults(args);
    const trace = args.trace ? createTrace() : undefined;

    const isResuming = args.resume === true || args.state !== undefined;
    if (isResuming && args.dryRun)
      throw new UsageError("--dry-run pushes nothing that could be resumed; leave out --resume");
    if (isResuming && files.includes("-"))
      throw new UsageError(
        "standard input can't be read again from where a push ended; leave out --resume, or push a file",
      );
    let state: PushState | undefined;
    const sinks: { flush(): Promise<void>; close(): Promise<void> }[] = [];
    if (isResuming) {
      const { url, key } = await cli.mesh.gatewayAddress();
      state = await openPushState(files, {
        path: args.state ?? defaultStatePath(files),
        push: identifyPush({ gatewayUrl: url, key, format: args.format, csv, defaults }),
        beforeSave: async () => {
          for (const sink of sinks) await sink.flush();
        },
      });
    }
    const append = state?.from !== undefined;
    const rejectedFile =
      args.rejected === undefined ? undefined : await openLineFile(args.rejected, { append });
    const receiptsFile =
      args.receipts === undefined ? undefined : await openLineFile(args.receipts, { append });
    // A program gets them all, as they come.
    const shownRejected = cli.out.json ? createLineFile(cli.out.text) : undefined;
    const rejectedFiles = [rejectedFile, shownRejected].filter((file) => file !== undefined);
    sinks.push(...rejectedFiles, ...(receiptsFile === undefined ? [] : [receiptsFile]));

    const giveUp = new AbortController();
    let finishing: NodeJS.Timeout | undefined;
    cli.signal.addEventListener("abort", () => {
      finishing = setTimeout(() => giveUp.abort(), FINISH_MS);
    });
    const tally = new Tally(state?.counts);
    const progress = await startProgress(files, tally, args.quiet === true);
    if (append) progress.note(`Going on where the last push ended (${state?.path})`);
    let shown = 0;
    const options: PushOptions = {
      files,
      stdin: cli.stdin,
      format: args.format,
      csv,
      defaults,
      tally,
      open: args.dryRun ? undefined : await openStream(cli, trace),
      maxRetryMs,
      failFast: args.failFast === true,
      state,
      rejectedFiles,
      receiptsFile,
      onInput: progress.onInput,
      onRejected: (name, line, { reason, field, message }) => {
        if (shownRejected !== undefined) return;
        if (shown < SHOWN_REJECTIONS)
          progress.note(
            `${name}:${line}: rejected (${[reason, field].filter(Boolean).join(", ")}): ${printable(message)}`,
          );
        else if (shown === SHOWN_REJECTIONS)
          progress.note(
            `More are rejected${args.rejected === undefined ? "; --rejected FILE keeps them all" : `: see ${args.rejected}`}`,
          );
        shown++;
      },
      onRetry: ({ error, waitMs }) =>
        progress.note(`Trying again in ${formatSeconds(waitMs / 1000)}: ${explainCallError(error).lines[0]}`),
      stop: cli.signal,
      giveUp: giveUp.signal,
    };
    let isComplete = false;
    try {
      isComplete = await runPush(options);
    } catch (error) {
      ignoreClosedPipe(error);
    } finally {
      clearTimeout(finishing);
      progress.stop();
      for (const sink of sinks) await sink.close();
      const summary = {
        tally,
        isComplete,
        isDryRun: args.dryRun === true,
        traceId: trace?.traceId,
        statePath: state?.path,
      };
      const isBegun = isComplete || tally.accepted + tally.rejected > 0 || cli.signal.aborted;
      if (!isBegun) progress.note("Nothing was pushed");
      else await show(summary, cli).catch(ignoreClosedPipe);
    }
    return isComplete && tally.rejected === 0 ? EXIT.ok : EXIT.failed;
  },
});

async function show(summary: Parameters<typeof tallyToJson>[0], { out }: Cli): Promise<void> {
  if (out.json) await out.event(tallyToJson(summary));
  else for (const line of describeTally(summary)) await out.line(line);
}

/** Where nobody reads any more, what has been pushed still decides how it ends. */
function ignoreClosedPipe(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
}

/** Opens streams with a client that a first Ctrl-C doesn't end. */
async function openStream(cli: Cli, trace: Trace | undefined): Promise<NonNullable<PushOptions["open"]>> {
  const gateway = await cli.mesh.gateway(IngestionService, { signal: new AbortController().signal });
  const headers: Record<string, string> = trace === undefined ? {} : { traceparent: trace.traceparent };
  return (requests, signal) => gateway.ingestStream(requests, { signal, headers });
}

interface Trace {
  traceId: string;
  traceparent: string;
}

/** A trace of its own that asks to be recorded (W3C Trace Context). */
function createTrace(): Trace {
  const traceId = randomBytes(16).toString("hex");
  return { traceId, traceparent: `00-${traceId}-${randomBytes(8).toString("hex")}-01` };
}

function readCsvOptions(args: {
  delimiter?: string | undefined;
  column?: readonly string[] | undefined;
  columnsTo: CsvOptions["columnsTo"];
  times: CsvOptions["times"];
}): Partial<CsvOptions> {
  const columns = new Map<string, string>();
  for (const pair of args.column ?? []) {
    const [, field = "", column = ""] = /^([^=]*)=(.*)$/s.exec(pair) ?? [];
    if (!FIELD_NAMES.includes(field) || column === "")
      throw new UsageError(
        `--column: ${JSON.stringify(pair)} is not FIELD=COLUMN with one of ${FIELD_NAMES.join(", ")}`,
      );
    if (columns.has(field))
      throw new UsageError(`--column ${field}: it is given twice, as ${columns.get(field)} and as ${column}`);
    columns.set(field, column);
  }
  const options: Partial<CsvOptions> = { columns, columnsTo: args.columnsTo, times: args.times };
  if (args.delimiter === undefined) return options;
  const delimiter = args.delimiter === "tab" || args.delimiter === "\\t" ? "\t" : args.delimiter;
  if (!/^[^"\r\n]$/u.test(delimiter))
    throw new UsageError(`--delimiter: ${JSON.stringify(args.delimiter)} is not one character, nor tab`);
  return { ...options, delimiter };
}

function readDefaults(args: {
  sourceType?: string | undefined;
  sourceId?: string | undefined;
  metadataType?: string | undefined;
  lang?: string | undefined;
  now?: boolean | undefined;
}): RecordDefaults {
  const { sourceType, sourceId, metadataType, lang } = args;
  const texts = { source_type: sourceType, source_id: sourceId, metadata_type: metadataType, lang };
  return {
    texts: Object.fromEntries(
      Object.entries(texts).filter((pair): pair is [string, string] => pair[1] !== undefined),
    ),
    ...(args.now && { updatedAt: createClock() }),
  };
}

interface PushProgress extends ProgressDisplay {
  onInput(input: Input): void;
}

async function startProgress(
  files: readonly string[],
  tally: Tally,
  isQuiet: boolean,
): Promise<PushProgress> {
  const inputs: Input[] = [];
  const onInput = (input: Input): void => void inputs.push(input);
  if (isQuiet) return { onInput, note: () => {}, stop: () => {} };
  const sizes = await Promise.all(files.map((name) => stat(name).catch(() => undefined)));
  const isKnown = sizes.every((one) => one?.isFile());
  const totalBytes = isKnown ? sizes.reduce((sum, one) => sum + one!.size, 0) : undefined;
  const read = (): Progress => ({
    readBytes: inputs.reduce((sum, { readBytes }) => sum + readBytes, 0),
    totalBytes,
    accepted: tally.accepted,
    rejected: tally.rejected,
    seconds: tally.seconds,
    recordsPerSecond: tally.recordsPerSecond,
  });
  const display = showProgress(process.stderr, (columns) => renderProgress(read(), columns));
  return { ...display, onInput };
}
