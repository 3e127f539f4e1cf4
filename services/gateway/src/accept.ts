import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Receipt,
  ReceiptSchema,
  RecordOutcome,
  type RecordStatus,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { LIMITS } from "@chowhound/shared/record/limits";
import { formatUuid } from "@chowhound/shared/record/uuid";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { Meter } from "@chowhound/shared/runtime/meter";
import type { ServerSpan } from "@chowhound/shared/telemetry/server-span";
import { newUuid } from "./assign-uuid.ts";
import type { CallOrigin } from "./batcher.ts";
import { type CallTrace, startCallTrace } from "./call-trace.ts";
import type { InFlightBytes } from "./in-flight-bytes.ts";
import type { Accept, Admit, IngestCall, IngestRecord } from "./ingestor.ts";
import type { Authenticator } from "./keys.ts";
import { type AcceptedRecord, type RejectedRecord, validateRecord } from "./validate-record.ts";

export interface AcceptDependencies {
  authenticate: Authenticator;
  /** Throws CallError while the gateway takes no calls. */
  assertOpen(): void;
  inFlight: InFlightBytes;
  /** As `Batcher.submit`. */
  submit(origin: CallOrigin, records: readonly AcceptedRecord[]): Promise<number>;
  maxRecordBytes(): number;
  meter: Meter;
  log: Logger;
}

const IN_FLIGHT_RETRY_MS = 250;

/** The one handler behind all doors. */
export function createAccept(dependencies: AcceptDependencies): Accept {
  const { meter, log } = dependencies;
  return async (call) => {
    try {
      return await accept(call, dependencies);
    } catch (error) {
      const known = toCallError(error, log);
      meter.count(`refused.${known.reason}`);
      throw known;
    }
  };
}

/** Refuses strangers before they have sent anything. */
export function createAdmit(dependencies: Pick<AcceptDependencies, "authenticate" | "meter">): Admit {
  return (authorization) => {
    try {
      identify(authorization, dependencies);
    } catch (error) {
      dependencies.meter.count("refused.unauthenticated");
      throw error;
    }
  };
}

/** The caller's tenant. Throws CallError. */
function identify(
  authorization: string | undefined,
  { authenticate }: Pick<AcceptDependencies, "authenticate">,
): string {
  const tenantId = authenticate(authorization);
  if (tenantId !== undefined) return tenantId;
  throw new CallError(
    "unauthenticated",
    "the call carries no valid key; send the header authorization: Bearer <key>",
  );
}

function toCallError(error: unknown, log: Logger): CallError {
  if (error instanceof CallError) return error;
  log.error({ err: error }, "a call failed unexpectedly");
  return new CallError("internal", "internal error; see the gateway's log", { cause: error });
}

async function accept(call: IngestCall, dependencies: AcceptDependencies): Promise<Receipt> {
  const tenantId = identify(call.authorization, dependencies);
  // Only now: who has no key can't have the mesh write spans.
  const trace = startCallTrace(call);
  try {
    const receipt = await acceptFrom(tenantId, call, trace, dependencies);
    trace.span?.end();
    return receipt;
  } catch (error) {
    const known = toCallError(error, dependencies.log);
    trace.span?.end(known);
    throw known;
  }
}

async function acceptFrom(
  tenantId: string,
  call: IngestCall,
  trace: CallTrace,
  dependencies: AcceptDependencies,
): Promise<Receipt> {
  const { assertOpen, inFlight } = dependencies;
  assertOpen();
  const records = await call.records();
  const bytes = measure(records);
  if (!(await inFlight.take(tenantId, bytes, call.waitForRoomMs))) {
    throw new CallError(
      "too_much_in_flight",
      "too much is waiting to be acknowledged; try again in a moment, with fewer calls at a time",
      { retryDelayMs: IN_FLIGHT_RETRY_MS },
    );
  }
  try {
    call.onTaken?.();
    // Again: there may have been a wait.
    assertOpen();
    return await take(records, tenantId, trace, dependencies);
  } finally {
    inFlight.release(tenantId, bytes);
  }
}

/** The bytes of a call's records. Throws CallError where the call is beyond its limits. */
function measure(records: readonly IngestRecord[]): number {
  if (records.length === 0) {
    throw new CallError("empty_batch", "the call holds no records; send at least one", { field: "records" });
  }
  if (records.length > LIMITS.callRecords) {
    throw new CallError(
      "too_many_records",
      `the call holds more than ${LIMITS.callRecords} records; send several calls`,
      { field: "records", metadata: { limit: `${LIMITS.callRecords}` } },
    );
  }
  let bytes = 0;
  for (const record of records) bytes += record instanceof Uint8Array ? record.length : 0;
  if (bytes > LIMITS.callBytes) {
    throw new CallError(
      "call_too_large",
      `the records of the call have more than ${LIMITS.callBytes} bytes; send several calls`,
      { field: "records", metadata: { limit: `${LIMITS.callBytes}` } },
    );
  }
  return bytes;
}

async function take(
  records: readonly IngestRecord[],
  tenantId: string,
  { context: { traceparent, tracestate, traceId }, span }: CallTrace,
  { submit, maxRecordBytes, meter }: AcceptDependencies,
): Promise<Receipt> {
  const context = { tenantId, nowMs: Date.now(), maxRecordBytes: maxRecordBytes() };
  const accepted: AcceptedRecord[] = [];
  const statuses = records.map((record) => {
    const verdict = record instanceof Uint8Array ? validateRecord(record, context) : record;
    if (verdict.kind === "rejected") {
      meter.count(`rejected.${verdict.reason}`);
      return rejectedStatus(verdict);
    }
    accepted.push(verdict);
    return acceptedStatus(verdict);
  });
  const receiptId = newUuid();
  const receipt = create(ReceiptSchema, {
    receiptId: formatUuid(receiptId),
    accepted: accepted.length,
    rejected: statuses.length - accepted.length,
    traceId,
  });
  receipt.statuses = statuses;
  if (span !== undefined) describe(span, receipt, tenantId);
  if (accepted.length > 0) {
    const origin = { tenantId, receiptId, traceparent, tracestate, span: span?.context };
    receipt.acceptedAt = timestampFromMs((await submit(origin, accepted)) / 1000);
    meter.count("accepted", accepted.length);
  }
  return receipt;
}

/** Counts and reasons only, never contents. */
function describe(span: ServerSpan, receipt: Receipt, tenantId: string): void {
  span.setAttributes({
    "chowhound.tenant_id": tenantId,
    "chowhound.receipt_id": receipt.receiptId,
    "chowhound.records.accepted": receipt.accepted,
    "chowhound.records.rejected": receipt.rejected,
  });
  const rejected = receipt.statuses.filter(({ outcome }) => outcome === RecordOutcome.REJECTED);
  for (const [reason, statuses] of Map.groupBy(rejected, (status) => status.reason))
    span.rejected(reason, statuses.length);
}

// Plain objects instead of `create`: there is one for every record.

function acceptedStatus(record: AcceptedRecord): RecordStatus {
  return {
    $typeName: "chowhound.v1.RecordStatus",
    uuid: formatUuid(record.uuid),
    outcome: RecordOutcome.ACCEPTED,
    reason: "",
    field: "",
    message: "",
  };
}

function rejectedStatus({ reason, field, message }: RejectedRecord): RecordStatus {
  return {
    $typeName: "chowhound.v1.RecordStatus",
    uuid: "",
    outcome: RecordOutcome.REJECTED,
    reason,
    field,
    message,
  };
}
