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
import { newUuid } from "./assign-uuid.ts";
import type { CallOrigin } from "./batcher.ts";
import type { InFlightBytes } from "./in-flight-bytes.ts";
import type { Accept, IngestCall } from "./ingestor.ts";
import type { Authenticator } from "./keys.ts";
import { readTraceContext } from "./trace-context.ts";
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
      const known = error instanceof CallError ? error : internalError(error, log);
      meter.count(`refused.${known.reason}`);
      throw known;
    }
  };
}

function internalError(error: unknown, log: Logger): CallError {
  log.error({ err: error }, "a call failed unexpectedly");
  return new CallError("internal", "internal error; see the gateway's log", { cause: error });
}

async function accept(call: IngestCall, dependencies: AcceptDependencies): Promise<Receipt> {
  const { authenticate, assertOpen, inFlight } = dependencies;
  const tenantId = authenticate(call.authorization);
  if (tenantId === undefined) {
    throw new CallError(
      "unauthenticated",
      "the call carries no valid key; send the header authorization: Bearer <key>",
    );
  }
  assertOpen();
  const bytes = measure(call.records);
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
    return await take(call, tenantId, dependencies);
  } finally {
    inFlight.release(tenantId, bytes);
  }
}

/** The bytes of a call's records. Throws CallError where the call is beyond its limits. */
function measure(records: IngestCall["records"]): number {
  if (records.length === 0) {
    throw new CallError("empty_batch", "the call holds no records; send at least one", { field: "records" });
  }
  if (records.length > LIMITS.callRecords) {
    throw new CallError(
      "too_many_records",
      `the call holds ${records.length} records, more than ${LIMITS.callRecords}; send several calls`,
      { field: "records", metadata: { limit: `${LIMITS.callRecords}` } },
    );
  }
  let bytes = 0;
  for (const record of records) bytes += record instanceof Uint8Array ? record.length : 0;
  if (bytes > LIMITS.callBytes) {
    throw new CallError(
      "call_too_large",
      `the records of the call have ${bytes} bytes, more than ${LIMITS.callBytes}; send several calls`,
      { field: "records", metadata: { limit: `${LIMITS.callBytes}` } },
    );
  }
  return bytes;
}

async function take(
  call: IngestCall,
  tenantId: string,
  { submit, maxRecordBytes, meter }: AcceptDependencies,
): Promise<Receipt> {
  const trace = readTraceContext(call.traceparent, call.tracestate);
  const context = { tenantId, nowMs: Date.now(), maxRecordBytes: maxRecordBytes() };
  const accepted: AcceptedRecord[] = [];
  const statuses = call.records.map((record) => {
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
    traceId: trace.traceId,
  });
  receipt.statuses = statuses;
  if (accepted.length > 0) {
    const { traceparent, tracestate } = trace;
    const origin = { tenantId, receiptId, traceparent, tracestate };
    receipt.acceptedAt = timestampFromMs((await submit(origin, accepted)) / 1000);
    meter.count("accepted", accepted.length);
  }
  return receipt;
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
