import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import type { RecordReason } from "@chowhound/shared/errors/reasons";
import { newUuid } from "@chowhound/shared/record/assign-uuid";
import { HASH_BYTES } from "@chowhound/shared/record/content-hash";
import { LIMITS } from "@chowhound/shared/record/limits";
import { formatUuid } from "@chowhound/shared/record/uuid";
import { validateRecord } from "@chowhound/shared/record/validate-record";
import type { Tap } from "@chowhound/shared/tap/tap";
import type { Meter } from "@chowhound/shared/telemetry/meter";
import { TENANT } from "@chowhound/shared/telemetry/metric-registry";
import type { ServerSpan } from "@chowhound/shared/telemetry/server-span";
import type { CallOrigin } from "./batcher.ts";
import type { CallReceipt } from "./call-receipt.ts";
import type { CallTrace } from "./call-trace.ts";
import type { InFlightBytes } from "./in-flight-bytes.ts";
import type { Accept, IngestCall, IngestRecord } from "./ingestor.ts";
import { type EnteringRecord, isKnown, KnownRecord } from "./known-record.ts";
import type { RecalledCall } from "./recall.ts";
import type { Serve } from "./serve-call.ts";
import { tapCall } from "./tap-call.ts";

export interface AcceptDependencies {
  serve: Serve;
  /** Throws CallError while the gateway takes no calls. */
  assertOpen(): void;
  inFlight: InFlightBytes;
  /** Of messages that are being read. */
  arriving: InFlightBytes;
  /** As `Recall.look`; undefined where nothing is remembered. */
  look(tenantId: string, records: readonly IngestRecord[]): RecalledCall | Promise<RecalledCall> | undefined;
  /** As `Batcher.submit`. */
  submit(
    origin: CallOrigin,
    records: readonly EnteringRecord[],
    fingerprints: Buffer | undefined,
  ): Promise<number>;
  maxRecordBytes(): number;
  /** What an acknowledgement is worth now. */
  durability(): DurabilityLevel;
  meter: Meter;
  tap: Tap;
}

const IN_FLIGHT_RETRY_MS = 250;
/** For others to have arrived: most take a moment. */
const ARRIVAL_WAIT_MS = 5_000;
/** What holds a record until it is acknowledged, beside its bytes: roughly. */
const RECORD_OVERHEAD_BYTES = 512;

/** The one handler of records behind all doors. */
export function createAccept(dependencies: AcceptDependencies): Accept {
  return async (call) => {
    const startedMs = performance.now();
    const receipt = await dependencies.serve(call, ({ tenantId, trace }) =>
      acceptFrom(tenantId, call, trace, dependencies),
    );
    dependencies.meter.record("chowhound.call.duration", (performance.now() - startedMs) / 1000);
    return receipt;
  };
}

async function acceptFrom(
  tenantId: string,
  call: IngestCall,
  trace: CallTrace,
  dependencies: AcceptDependencies,
): Promise<CallReceipt> {
  const { assertOpen, inFlight, look } = dependencies;
  assertOpen();
  const records = await read(tenantId, call, dependencies);
  const bytes = measure(records);
  if (!(await inFlight.take(tenantId, bytes, call.waitForRoomMs)))
    throw tooMuch("too much is waiting to be acknowledged");
  try {
    call.onTaken?.();
    const looked = look(tenantId, records);
    const recalled = looked instanceof Promise ? await looked : looked;
    // Again: there may have been a wait.
    assertOpen();
    return await take({ records, recalled }, tenantId, trace, dependencies);
  } finally {
    inFlight.release(tenantId, bytes);
  }
}

/** Reads the records of a call, once there is room for as much as may come. */
async function read(
  tenantId: string,
  call: IngestCall,
  { arriving }: AcceptDependencies,
): Promise<readonly IngestRecord[]> {
  const { arrivingBytes } = call;
  if (arrivingBytes === undefined) return await call.records();
  const bytes = Math.min(arrivingBytes, arriving.tenantLimit);
  if (!(await arriving.take(tenantId, bytes, ARRIVAL_WAIT_MS)))
    throw tooMuch("too many large messages are arriving");
  try {
    return await call.records();
  } finally {
    arriving.release(tenantId, bytes);
  }
}

function tooMuch(what: string): CallError {
  const message = `${what}; try again in a moment, with fewer calls at a time`;
  return new CallError("too_much_in_flight", message, { retryDelayMs: IN_FLIGHT_RETRY_MS });
}

/** What a call counts in flight: its records' bytes and what holds them. Throws CallError where the call is beyond its limits. */
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
  return bytes + records.length * RECORD_OVERHEAD_BYTES;
}

async function take(
  { records, recalled }: { records: readonly IngestRecord[]; recalled: RecalledCall | undefined },
  tenantId: string,
  { context: { traceparent, tracestate, traceId }, span }: CallTrace,
  { submit, maxRecordBytes, durability, meter, tap }: AcceptDependencies,
): Promise<CallReceipt> {
  const context = { tenantId, nowMs: Date.now(), maxRecordBytes: maxRecordBytes() };
  const accepted: EnteringRecord[] = [];
  const rejected = new Map<RecordReason, number>();
  const judged = records.map((record, index) => {
    const judgement = !(record instanceof Uint8Array)
      ? record
      : recalled?.known?.[index] === 1
        ? new KnownRecord(record)
        : validateRecord(record, context);
    if (judgement.kind === "accepted") accepted.push(judgement);
    else rejected.set(judgement.reason, (rejected.get(judgement.reason) ?? 0) + 1);
    return judgement;
  });
  for (const [reason, count] of rejected)
    meter.count("chowhound.records.rejected", count, { [TENANT]: tenantId, "chowhound.reason": reason });
  const receipt: CallReceipt = {
    receiptId: newUuid(),
    records: judged,
    accepted: accepted.length,
    acceptedAtUs: undefined,
    traceId,
    durability: DurabilityLevel.UNSPECIFIED,
  };
  if (span !== undefined) describe(span, receipt, rejected, tenantId);
  if (accepted.length > 0) {
    const { receiptId } = receipt;
    const origin = { tenantId, receiptId, traceparent, tracestate, span: span?.context };
    receipt.acceptedAtUs = await submit(origin, accepted, fingerprintsOf(judged, recalled));
    receipt.durability = durability();
    meter.count("chowhound.records.accepted", accepted.length, { [TENANT]: tenantId });
    meter.count("chowhound.recall.dropped", accepted.filter(isKnown).length);
  }
  if (tap.isOpen) tap.show(tapCall(records, tenantId, receipt));
  return receipt;
}

/** Those of the records that were not rejected. */
function fingerprintsOf(
  judged: CallReceipt["records"],
  recalled: RecalledCall | undefined,
): Buffer | undefined {
  if (recalled === undefined || judged.every(({ kind }) => kind !== "rejected"))
    return recalled?.fingerprints;
  const { fingerprints } = recalled;
  return Buffer.concat(
    judged.flatMap(({ kind }, index) =>
      kind === "rejected" ? [] : [fingerprints.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)],
    ),
  );
}

/** Counts and reasons only, never contents. */
function describe(
  span: ServerSpan,
  { receiptId, records, accepted }: CallReceipt,
  rejected: ReadonlyMap<RecordReason, number>,
  tenantId: string,
): void {
  span.setAttributes({
    "chowhound.tenant_id": tenantId,
    "chowhound.receipt_id": formatUuid(receiptId),
    "chowhound.records.accepted": accepted,
    "chowhound.records.rejected": records.length - accepted,
  });
  for (const [reason, count] of rejected) span.rejected(reason, count);
}
