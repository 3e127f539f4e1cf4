import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AuditBalance,
  type AuditDraining,
  type AuditFinding,
  type AuditReport,
  AuditReportSchema,
  type AuditResponse,
  AuditService,
  AuditVerdict,
  type AuditWriteOff,
} from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { CliError, UsageError } from "../../cli-error.ts";
import { defineCommand } from "../../command.ts";
import { EXIT, type ExitCode } from "../../exit-codes.ts";
import { callAnyProcess } from "../../mesh/any-process.ts";
import { formatCount, formatSeconds, printable } from "../../output/format.ts";
import type { Output } from "../../output/output.ts";
import { protoJson } from "../../output/proto-json.ts";
import { showProgress } from "../../output/show-progress.ts";
import type { Cell, Column } from "../../output/table.ts";
import { parseSpan } from "../../parse-time.ts";
import { formatTimestamp, secondsOf } from "../../proto-time.ts";

/** Of an audit alone: 2, which else says that the command line is wrong, says that nothing could be said. */
const STALLED = EXIT.usage;

const COUNTS = [
  ["ACCEPTED", "accepted"],
  ["STORED", "stored"],
  ["UPDATED", "updated"],
  ["UNCHANGED", "unchanged"],
  ["STALE", "stale"],
  ["DUPLICATE", "duplicate"],
  ["CONFLICT", "conflict"],
  ["DEAD", "deadLettered"],
  ["REPLAYED", "replayed"],
  ["ROWS", "rows"],
  ["OPEN LETTERS", "openDeadLetters"],
  ["DISCARDED", "discarded"],
] as const;
const COLUMNS: readonly Column[] = [
  { title: "TENANT" },
  ...COUNTS.map(([title]) => ({ title, align: "right" as const })),
];

export const command = defineCommand({
  options: (yargs) =>
    yargs
      .option("timeout", {
        type: "string",
        requiresArg: true,
        default: "60s",
        describe: "How long to wait for what is under way; counting takes as long as it takes",
      })
      .option("tenant", {
        type: "string",
        requiresArg: true,
        describe: "Show the balance of this tenant only",
      })
      .option("max-findings", {
        type: "number",
        requiresArg: true,
        default: 100,
        describe: "At most so many findings, up to 1000",
      }),
  examples: [
    ["chow audit", "Ends with 0: closed, 1: broken, 2: stalled"],
    ["chow audit --json | jq .findings", "For a program"],
  ],
  run: async ({ timeout, tenant, maxFindings }, cli) => {
    const timeoutMs = parseSpan(timeout);
    if (timeoutMs === undefined)
      throw new UsageError(`--timeout: ${JSON.stringify(timeout)} is no span such as 90s or 5m`);
    if (!Number.isInteger(maxFindings) || maxFindings < 1)
      throw new UsageError("--max-findings: give a whole number from 1 to 1000");
    const request = { timeout: durationFromMs(timeoutMs), tenantId: tenant ?? "", maxFindings };
    const processes = await cli.mesh.processes(["store"]);
    let doing = "asking the store";
    const progress = process.stderr.isTTY ? showProgress(process.stderr, () => doing) : undefined;
    const report = await callAnyProcess(processes, async (store) => {
      for await (const { step } of store.client(AuditService).audit(request)) {
        if (step.case === "report") return step.value;
        doing = describeStep(step);
      }
      throw new CliError("the store answers without a report");
    }).finally(() => progress?.stop());
    if (cli.out.json) await cli.out.document(protoJson(AuditReportSchema, report));
    else await show(report, cli.out);
    return exitCodeOf(report);
  },
});

function exitCodeOf({ verdict }: AuditReport): ExitCode {
  if (verdict === AuditVerdict.CLOSED) return EXIT.ok;
  return verdict === AuditVerdict.STALLED ? STALLED : EXIT.failed;
}

function describeStep(step: AuditResponse["step"]): string {
  if (step.case === "draining") return describeDraining(step.value);
  return step.case === "counting" ? `counting: ${step.value.what}` : "";
}

function describeDraining({ stream, batchesLeft }: AuditDraining): string {
  return `waiting for ${stream}: ${formatCount(batchesLeft)} batches`;
}

async function show(report: AuditReport, out: Output): Promise<void> {
  const { stall, total, balances, findings, findingCount, writeOffs, lastNumber, epoch } = report;
  if (stall !== undefined || report.verdict === AuditVerdict.STALLED) {
    const age =
      stall?.oldestAge === undefined ? "" : `, the oldest for ${formatSeconds(secondsOf(stall.oldestAge))}`;
    await out.line(
      `${out.style("yellow", "Stalled")}: up to ${formatCount(stall?.batchesLeft ?? 0n)} batches are in ${stall?.stream}${age}. Nothing was counted.`,
    );
    await out.line(printable(`  ${stall?.why}`));
    if (stall !== undefined && stall.consumer !== "")
      await out.line(
        `  ${stall.consumer}: ${formatCount(stall.pendingBatches)} pending, ${formatCount(stall.unacknowledgedBatches)} unacknowledged`,
      );
    return;
  }
  const rows = balances.map((balance) =>
    toRow(balance.tenantId === "" ? "(none)" : balance.tenantId, balance),
  );
  if (balances.length > 1 && total !== undefined) rows.push(toRow("all", total));
  if (rows.length > 0) await out.table(COLUMNS, rows);
  for (const finding of findings) await showFinding(finding, out);
  if (findingCount > BigInt(findings.length))
    await out.line(
      `\n… and ${formatCount(findingCount - BigInt(findings.length))} more findings; see --max-findings`,
    );
  if (writeOffs.length > 0) await out.line("\nWritten off, and not among the findings:");
  for (const writeOff of writeOffs) await out.line(printable(`  ${describeWriteOff(writeOff)}`));
  const spread = rows.length > 0 ? "\n" : "";
  if (findingCount === 0n)
    await out.line(
      `${spread}${out.style("green", "Closed")}: all numbers of RAW up to ${formatCount(lastNumber)} (epoch ${epoch}) are accounted for, and all sums agree.`,
    );
  else
    await out.line(
      `${spread}${out.style("red", "Broken")}: ${formatCount(findingCount)} ${findingCount === 1n ? "finding" : "findings"}; docs/audit.md tells what to do.`,
    );
}

function toRow(name: string, balance: AuditBalance): Cell[] {
  return [name, ...COUNTS.map(([, field]) => formatCount(balance[field]))];
}

async function showFinding(finding: AuditFinding, out: Output): Promise<void> {
  const { reason, epoch, firstNumber, lastNumber, tenantId, sourceType, sourceId } = finding;
  const where: string[] = [];
  if (firstNumber > 0n) {
    const numbers =
      firstNumber === lastNumber ? `number ${firstNumber}` : `numbers ${firstNumber} to ${lastNumber}`;
    where.push(`${numbers} of epoch ${epoch}`);
  }
  if (tenantId !== "") where.push(`tenant ${tenantId}`);
  if (sourceType !== "") where.push(`source ${sourceType} ${sourceId}`);
  if (finding.batchIds.length > 0) where.push(`batch ${finding.batchIds.join(", ")}`);
  const { counter, expected, found, meaning, remedy } = finding;
  await out.line(
    `\n${out.style("red", reason)}${printable(where.length === 0 ? "" : `: ${where.join(", ")}`)}`,
  );
  await out.line(`  ${counter}: expected ${formatCount(expected)}, found ${formatCount(found)}`);
  await out.line(printable(`  ${capitalize(meaning)}.`));
  await out.line(`  What to do: ${remedy}.`);
}

export function describeWriteOff(writeOff: AuditWriteOff): string {
  const { kind, epoch, firstNumber, lastNumber, note, writtenOffBy, writtenOffAt } = writeOff;
  const numbers =
    firstNumber === lastNumber ? `number ${firstNumber}` : `numbers ${firstNumber} to ${lastNumber}`;
  return `${WRITTEN_OFF[kind] ?? "written off"}: ${numbers} of epoch ${epoch}, by ${writtenOffBy} at ${formatTimestamp(writtenOffAt)}: ${note}`;
}

/** By AuditFindingKind. */
const WRITTEN_OFF: Record<number, string> = { 1: "missing", 2: "given out twice", 4: "repeated" };

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
