import { RecordOutcome } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { formatUuid, UUID_TEXT_BYTES, writeUuid } from "@chowhound/shared/record/uuid";
import type { RejectedRecord } from "@chowhound/shared/record/validate-record";
import { WireWriter } from "@chowhound/shared/record/wire-writer";
import type { CallReceipt } from "./call-receipt.ts";
import type { EnteringRecord } from "./known-record.ts";

// The numbers of the fields on the wire; proto/chowhound/v1/ingestion_service.proto is their source.
const RESPONSE = { receipt: 1, batchNumber: 2 } as const;
const RECEIPT = {
  receiptId: 1,
  acceptedAt: 2,
  accepted: 3,
  rejected: 4,
  statuses: 5,
  traceId: 6,
  durability: 7,
} as const;
const STATUS = { uuid: 1, outcome: 2, reason: 3, field: 4, message: 5 } as const;
const TIMESTAMP = { seconds: 1, nanos: 2 } as const;

const UUID_AT = 4;
/** The status of an accepted record, an element of `statuses`, but for the uuid: all of them are alike. */
const ACCEPTED = acceptedStatus();

const response = new WireWriter();
const receiptWriter = new WireWriter();
const inner = new WireWriter(1024);

/**
 * The encoded IngestResponse, or IngestStreamResponse with the number of its batch: byte for byte what the protobuf library writes,
 * for a tenth of the time.
 */
export function encodeResponse(receipt: CallReceipt, batchNumber = 0n): Buffer {
  writeReceipt(receiptWriter.clear(), receipt);
  response.clear();
  response.element(RESPONSE.receipt, receiptWriter.written);
  response.uint64(RESPONSE.batchNumber, batchNumber);
  return Buffer.from(response.written);
}

function writeReceipt(out: WireWriter, receipt: CallReceipt): void {
  const { receiptId, records, accepted, acceptedAtUs, traceId, durability } = receipt;
  out.text(RECEIPT.receiptId, formatUuid(receiptId));
  if (acceptedAtUs !== undefined) out.element(RECEIPT.acceptedAt, timestamp(acceptedAtUs));
  out.integer(RECEIPT.accepted, accepted);
  out.integer(RECEIPT.rejected, records.length - accepted);
  for (let i = 0; i < records.length; i++) writeStatus(out, records[i]!);
  out.text(RECEIPT.traceId, traceId);
  out.integer(RECEIPT.durability, durability);
}

function writeStatus(out: WireWriter, record: EnteringRecord | RejectedRecord): void {
  if (record.kind === "accepted") {
    const start = out.length;
    out.copy(ACCEPTED);
    writeUuid(out.buffer, start + UUID_AT, record.uuid);
    return;
  }
  inner.clear();
  inner.integer(STATUS.outcome, RecordOutcome.REJECTED);
  inner.text(STATUS.reason, record.reason);
  inner.text(STATUS.field, record.field);
  inner.text(STATUS.message, record.message);
  out.element(RECEIPT.statuses, inner.written);
}

function acceptedStatus(): Buffer {
  const status = new WireWriter();
  status.text(STATUS.uuid, "0".repeat(UUID_TEXT_BYTES));
  status.integer(STATUS.outcome, RecordOutcome.ACCEPTED);
  const element = new WireWriter();
  element.element(RECEIPT.statuses, status.written);
  return element.written;
}

function timestamp(us: number): Buffer {
  inner.clear();
  inner.integer(TIMESTAMP.seconds, Math.floor(us / 1e6));
  inner.integer(TIMESTAMP.nanos, (us % 1e6) * 1000);
  return inner.written;
}
