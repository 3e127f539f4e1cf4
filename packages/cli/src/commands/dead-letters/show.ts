import { writeFile } from "node:fs/promises";
import { toBinary, toJsonString } from "@bufbuild/protobuf";
import {
  type DeadLetter,
  DeadLetterState,
  type GetDeadLetterResponse,
  GetDeadLetterResponseSchema,
} from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { CliError, UsageError } from "../../cli-error.ts";
import { defineCommand } from "../../command.ts";
import { openDeadLetters } from "../../dead-letters/calls.ts";
import { stateName } from "../../dead-letters/filter.ts";
import { formatBytes } from "../../output/format.ts";
import { protoJson } from "../../output/proto-json.ts";
import { showFields } from "../../output/show-fields.ts";
import { formatTimestamp } from "../../proto-time.ts";

/** Candidates shown for an id. */
const COMPLETED = 50;

export const command = defineCommand({
  options: (yargs) =>
    yargs
      .positional("id", { type: "string", demandOption: true, describe: "As in chow dead-letters list" })
      .option("original", {
        type: "string",
        requiresArg: true,
        describe: "Write what was accepted to this file, as it is encoded (IngestionData)",
      }),
  examples: [
    ["chow dead-letters show 01a1fa80-…/3", "Why it died, and the record as it was accepted"],
    ["chow dead-letters show 01a1fa80-…/3 --json | jq .record", "The record alone"],
  ],
  complete: async (words, { mesh }) => {
    if (words.length > 1) return [];
    const call = await openDeadLetters(mesh);
    const { deadLetters } = await call((client) => client.listDeadLetters({ pageSize: COMPLETED }));
    return deadLetters.map(({ id }) => id);
  },
  run: async ({ id, original: file }, cli) => {
    const call = await openDeadLetters(cli.mesh);
    const whole = await call((client) => client.getDeadLetter({ id }));
    if (whole.deadLetter === undefined) throw new CliError("the mesh answers without a dead letter");
    if (file !== undefined) await writeOriginal(file, whole);
    if (cli.out.json) await cli.out.document(protoJson(GetDeadLetterResponseSchema, whole));
    else await showFields(cli.out, [...describe(whole.deadLetter), ["record", describeOriginal(whole)]]);
    if (file !== undefined) cli.out.note(`chow: what was accepted is in ${file}`);
  },
});

function describe(letter: DeadLetter): [string, string][] {
  const { stage, pipelineVersion, attempts } = letter;
  return [
    ["id", letter.id],
    ["state", describeState(letter)],
    ["settledAt", formatTimestamp(letter.settledAt)],
    ["reason", `${letter.reason} (docs/errors.md#${letter.reason})`],
    ["detail", letter.detail],
    ["stage", pipelineVersion === 0n ? stage : `${stage}, pipeline version ${pipelineVersion}`],
    ["tenantId", letter.tenantId],
    ["sourceType", letter.sourceType],
    ["sourceId", letter.sourceId],
    ["dataId", letter.dataId],
    ["uuid", letter.uuid],
    ["acceptedAt", formatTimestamp(letter.acceptedAt)],
    ["receiptId", letter.receiptId],
    ["traceId", letter.traceId],
    ["diedAt", formatTimestamp(letter.lastSeen)],
    [
      "attempts",
      attempts === 1 ? "1" : `${attempts}, the first died at ${formatTimestamp(letter.firstSeen)}`,
    ],
    ["lastReplay", letter.replayBatchId],
  ];
}

function describeState({ state, verdict, discardedBy, note }: DeadLetter): string {
  const name = stateName(state);
  if (state === DeadLetterState.RESOLVED) return `${name}: ${verdict}`;
  return state === DeadLetterState.DISCARDED ? `${name} by ${discardedBy}: ${note}` : name;
}

function describeOriginal({ original }: GetDeadLetterResponse): string {
  if (original.case === "record")
    return toJsonString(IngestionDataSchema, original.value, { prettySpaces: 2 });
  return `${formatBytes(original.value?.length ?? 0)} that can't be read as a record; --original FILE writes them`;
}

async function writeOriginal(file: string, { original }: GetDeadLetterResponse): Promise<void> {
  const bytes =
    original.case === "record"
      ? toBinary(IngestionDataSchema, original.value)
      : (original.value ?? Buffer.alloc(0));
  try {
    await writeFile(file, bytes, { mode: 0o600 });
  } catch (cause) {
    throw new UsageError(`can't write ${file}: ${(cause as Error).message}`, { cause });
  }
}
