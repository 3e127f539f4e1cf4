import { type JsonObject, toBinary, toJson } from "@bufbuild/protobuf";
import {
  type IngestionData,
  IngestionDataSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import {
  PipelineService,
  type PipelineTestResult,
  PipelineTestResultSchema,
} from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { CliError, UsageError } from "../../cli-error.ts";
import { type Cli, defineCommand } from "../../command.ts";
import { EXIT } from "../../exit-codes.ts";
import { jsonChanges } from "../../json-changes.ts";
import { callAnyProcess } from "../../mesh/any-process.ts";
import { clip, formatCount, printable } from "../../output/format.ts";
import { protoJson } from "../../output/proto-json.ts";
import { type ReadRecord, readRecords } from "../../push/read-records.ts";
import { readText } from "../../read-text.ts";

/** What one call takes: in bytes 1 MiB, with the uuids that it gives to samples without one. */
const CALL_RECORDS = 100;
const CALL_BYTES = 1024 ** 2 - CALL_RECORDS * 64;

export const command = defineCommand({
  options: (yargs) =>
    yargs
      .option("samples", {
        type: "string",
        requiresArg: true,
        demandOption: true,
        describe: "Records to try it on, as NDJSON or JSON; - for stdin",
      })
      .option("definition", {
        type: "string",
        requiresArg: true,
        describe: "The pipeline to try, as YAML; without it, the pipelines in force are tried",
      })
      .option("tenant", {
        type: "string",
        requiresArg: true,
        describe: "The tenant of the samples; needed unless the definition names one",
      }),
  examples: [
    [
      "chow pipelines test --definition npm-package.yaml --samples samples.ndjson",
      "Try it before it is applied",
    ],
    ["chow pipelines test --tenant acme --samples - < samples.ndjson", "Try what is in force"],
  ],
  run: async ({ samples, definition: file, tenant = "" }, cli) => {
    if (file === "-" && samples === "-")
      throw new UsageError("only one of --definition and --samples can be -");
    const definition = file === undefined ? "" : await readText(file, cli.stdin);
    const processes = await cli.mesh.processes(["enricher"]);
    const counts: Record<string, number> = {};
    for await (const batch of inCalls(readRecords(samples, { stdin: cli.stdin, format: "auto" }))) {
      const records = batch.flatMap((sample) => ("record" in sample ? [sample.record] : []));
      const results =
        records.length === 0
          ? []
          : (
              await callAnyProcess(processes, (process) =>
                process.client(PipelineService).testPipeline({ definition, tenantId: tenant, records }),
              )
            ).results;
      if (results.length !== records.length)
        throw new CliError("the mesh answers with another number of results");
      for (const sample of batch) {
        const outcome =
          "record" in sample
            ? await show(cli, sample.line, sample.record, results.shift()!)
            : await showProblem(cli, sample);
        counts[outcome] = (counts[outcome] ?? 0) + 1;
      }
    }
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    if (total === 0) throw new UsageError(`${samples} has no records`);
    if (!cli.out.json)
      await cli.out.line(
        `\n${Object.entries(counts)
          .map(([outcome, count]) => `${formatCount(count)} ${outcome}`)
          .join(", ")}`,
      );
    return counts.enriched === total ? EXIT.ok : EXIT.failed;
  },
});

/** Samples in the portions in which they are sent. */
async function* inCalls(samples: AsyncIterable<ReadRecord>): AsyncIterable<ReadRecord[]> {
  let batch: ReadRecord[] = [];
  let bytes = 0;
  for await (const sample of samples) {
    const size = "record" in sample ? toBinary(IngestionDataSchema, sample.record).length : 0;
    if (batch.length > 0 && (batch.length === CALL_RECORDS || bytes + size > CALL_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(sample);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

async function showProblem(
  { out }: Cli,
  { line, problem }: { line: number; problem: string },
): Promise<string> {
  if (out.json) await out.event({ line, outcome: "unreadable", detail: problem });
  else await out.line(`line ${line}: ${out.style("red", "unreadable")}\n  ${printable(problem)}`);
  return "unreadable";
}

/** Returns the outcome. */
async function show(
  { out }: Cli,
  line: number,
  sample: IngestionData,
  result: PipelineTestResult,
): Promise<string> {
  const { outcome, reason, field, detail } = result;
  if (out.json) {
    await out.event({ line, ...(protoJson(PipelineTestResultSchema, result) as JsonObject) });
    return outcome;
  }
  if (result.record === undefined) {
    await out.line(
      `line ${line}: ${out.style("red", outcome)} ${printable([reason, field].filter(Boolean).join(" "))}`,
    );
    await out.line(`  ${printable(detail)}`);
    return outcome;
  }
  const pipeline =
    result.pipelineTenantId === ""
      ? "no pipeline"
      : `${result.pipelineTenantId} ${result.pipelineSourceType}${result.pipelineVersion === 0n ? "" : ` version ${result.pipelineVersion}`}`;
  await out.line(`line ${line}: ${out.style("green", outcome)} by ${printable(pipeline)}`);
  await out.table(
    [{ title: "  FIELD" }, { title: "BEFORE" }, { title: "" }, { title: "AFTER" }],
    changes(sample, result.record, result.changedFields).map(({ path, before, after }) => [
      `  ${path}`,
      shown(before),
      "→",
      shown(after),
    ]),
  );
  return outcome;
}

function changes(sample: IngestionData, record: IngestionData, fields: readonly string[]) {
  const [before, after] = [sample, record].map(
    (message) => toJson(IngestionDataSchema, message, { useProtoFieldName: true }) as JsonObject,
  );
  return fields.flatMap((field) => jsonChanges(before?.[field], after?.[field], field));
}

function shown(value: unknown): string {
  return value === undefined ? "–" : clip(JSON.stringify(value), 60);
}
