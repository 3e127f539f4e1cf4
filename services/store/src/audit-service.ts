import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  AuditFindingKind,
  type AuditReportSchema,
  type AuditResponseSchema,
  AuditService,
  AuditVerdict,
  type AuditWriteOffSchema,
} from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import type { AuditReason } from "@chowhound/shared/errors/reasons";
import type { ExtraService } from "@chowhound/shared/rpc/admin-server";
import { unaryHandlers } from "@chowhound/shared/rpc/grpc-service";
import { serverStreamHandler } from "@chowhound/shared/rpc/server-stream";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { Auditor, AuditStep } from "./audit.ts";
import { explainFinding } from "./audit-findings.ts";
import type { Examination, Finding, Ledger, NumberRange, RawNumbers, WriteOff } from "./ledger.ts";

const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_TIMEOUT_MS = 24 * 3_600_000;
const DEFAULT_FINDINGS = 100;
const MAX_FINDINGS = 1_000;
const MAX_NOTE_BYTES = 1_000;
const MAX_NAME_BYTES = 200;
const MAX_KEEP_MS = 100 * 365 * 24 * 3_600_000;

const KINDS: Record<AuditReason, AuditFindingKind> = {
  number_missing: AuditFindingKind.NUMBER_MISSING,
  number_reused: AuditFindingKind.NUMBER_REUSED,
  number_ahead: AuditFindingKind.NUMBER_AHEAD,
  batch_repeated: AuditFindingKind.BATCH_REPEATED,
  invoice_unbalanced: AuditFindingKind.INVOICE_UNBALANCED,
  totals_unbalanced: AuditFindingKind.TOTALS_UNBALANCED,
  totals_differ: AuditFindingKind.TOTALS_DIFFER,
  rows_differ: AuditFindingKind.ROWS_DIFFER,
  letters_differ: AuditFindingKind.LETTERS_DIFFER,
};

export interface AuditServiceOptions {
  auditor: Auditor;
  ledger: Ledger;
  /** What a compaction keeps where the call doesn't say; 0: everything. */
  keepInvoicesMs: number;
  log: Logger;
  /** Aborted when the process ends. */
  signal: AbortSignal;
}

/** chowhound.v1.AuditService over the books of the store's database. */
export function createAuditService({
  auditor,
  ledger,
  keepInvoicesMs,
  log,
  signal,
}: AuditServiceOptions): ExtraService {
  const onError = (method: string, error: unknown): void =>
    log.error({ err: error, method }, "audit call failed");
  const handlers = unaryHandlers(
    AuditService,
    {
      writeOff: async ({ note, writtenOffBy, ...request }) => {
        checkText(note, "note", MAX_NOTE_BYTES);
        checkText(writtenOffBy, "written_off_by", MAX_NAME_BYTES);
        const writeOff = await auditor.writeOff(readNumbers(request), { note, writtenOffBy });
        const { reason, epoch, first, last } = writeOff;
        log.warn(
          { reason, epoch: String(epoch), first: String(first), last: String(last), writtenOffBy },
          "numbers were written off",
        );
        return { writeOff: toWriteOff(writeOff) };
      },
      compactBooks: async ({ keep }) => {
        const keepMs = keep === undefined ? keepInvoicesMs : readDuration(keep, "keep", MAX_KEEP_MS);
        if (keep === undefined && keepMs === 0) return { compactedInvoices: 0n };
        return { compactedInvoices: BigInt(await ledger.compact(keepMs, signal)) };
      },
    },
    onError,
  );
  handlers.audit = serverStreamHandler(
    AuditService.method.audit,
    async function* ({ timeout, tenantId, maxFindings }, call) {
      if (maxFindings > MAX_FINDINGS)
        throw invalid("max_findings", `${maxFindings} findings; ask for ${MAX_FINDINGS} at most`);
      const steps = auditor.audit({
        timeoutMs:
          timeout === undefined ? DEFAULT_TIMEOUT_MS : readDuration(timeout, "timeout", MAX_TIMEOUT_MS),
        tenantId: tenantId === "" ? undefined : tenantId,
        maxFindings: maxFindings || DEFAULT_FINDINGS,
        signal: call.signal,
      });
      for await (const step of steps) {
        if (step.kind === "report" && step.examination.findingCount > 0)
          log.error({ findings: step.examination.findingCount }, "the books are broken");
        yield { step: toStep(step) };
      }
    },
    onError,
  );
  return { service: AuditService, handlers };
}

type Report = MessageInitShape<typeof AuditReportSchema>;

function toStep(step: AuditStep): NonNullable<MessageInitShape<typeof AuditResponseSchema>["step"]> {
  switch (step.kind) {
    case "draining":
      return { case: "draining", value: step.draining };
    case "counting":
      return { case: "counting", value: { what: step.what } };
    case "stalled":
      return { case: "report", value: toStalled(step) };
    case "report":
      return { case: "report", value: toReport(step.mark, step.examination) };
  }
}

function toStalled({ mark, stall }: Extract<AuditStep, { kind: "stalled" }>): Report {
  const { stream, batchesLeft, oldestAgeMs, consumer, why } = stall;
  return {
    verdict: AuditVerdict.STALLED,
    epoch: mark?.epoch ?? 0n,
    lastNumber: mark?.last ?? 0n,
    stall: {
      stream,
      batchesLeft,
      ...(oldestAgeMs !== undefined && { oldestAge: durationFromMs(Math.round(oldestAgeMs)) }),
      consumer: consumer?.name ?? "",
      pendingBatches: BigInt(consumer?.pending ?? 0),
      unacknowledgedBatches: BigInt(consumer?.unacknowledged ?? 0),
      why,
    },
  };
}

function toReport(mark: RawNumbers, examination: Examination): Report {
  const { at, findings, findingCount, writeOffs, ...rest } = examination;
  return {
    ...rest,
    verdict: findingCount === 0 ? AuditVerdict.CLOSED : AuditVerdict.BROKEN,
    auditedAt: timestampFromDate(at),
    epoch: mark.epoch,
    lastNumber: mark.last,
    total: toBalance(rest.total),
    balances: rest.balances.map(toBalance),
    findings: findings.map(toFinding),
    findingCount: BigInt(findingCount),
    writeOffs: writeOffs.map(toWriteOff),
  };
}

function toBalance({ dead_lettered, ...balance }: Examination["total"]) {
  return { ...balance, deadLettered: dead_lettered };
}

function toFinding(finding: Finding): NonNullable<Report["findings"]>[number] {
  const { epoch = 0n, first = 0n, last = 0n, ...rest } = finding;
  return {
    ...rest,
    kind: KINDS[finding.reason],
    epoch,
    firstNumber: first,
    lastNumber: last,
    ...explainFinding(finding),
  };
}

function toWriteOff({
  reason,
  epoch,
  first,
  last,
  note,
  writtenOffBy,
  writtenOffAt,
}: WriteOff): MessageInitShape<typeof AuditWriteOffSchema> {
  return {
    kind: KINDS[reason],
    epoch,
    firstNumber: first,
    lastNumber: last,
    note,
    writtenOffBy,
    writtenOffAt: timestampFromDate(writtenOffAt),
  };
}

function readNumbers(request: { epoch: bigint; firstNumber: bigint; lastNumber: bigint }): NumberRange {
  const { epoch, firstNumber: first, lastNumber: last } = request;
  if (epoch <= 0n) throw invalid("epoch", "epoch is not given; a finding names it");
  if (first < 1n) throw invalid("first_number", "numbers begin with 1");
  if (last < first) throw invalid("last_number", `${last} is before the first number, ${first}`);
  return { epoch, first, last };
}

function readDuration(duration: Duration, field: string, maxMs: number): number {
  const ms = durationMs(duration);
  if (ms >= 0 && ms <= maxMs) return ms;
  throw invalid(field, `${field} is negative or longer than ${maxMs / 1000} s`);
}

function checkText(text: string, field: string, maxBytes: number): void {
  const bytes = Buffer.byteLength(text);
  if (text.trim() === "") throw invalid(field, `${field} is empty; say it, every later audit shows it`);
  if (bytes > maxBytes)
    throw invalid(field, `${field} has ${bytes} bytes, more than ${maxBytes}; shorten it`);
  if (text.includes("\0")) throw invalid(field, `${field} holds the character U+0000; remove it`);
}

function invalid(field: string, message: string): CallError {
  return new CallError("invalid_audit_request", message, { field });
}
