import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  type DurabilityLevel,
  type Receipt,
  ReceiptSchema,
  RecordOutcome,
  type RecordStatus,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { formatUuid } from "@chowhound/shared/record/uuid";
import type { RejectedRecord } from "@chowhound/shared/record/validate-record";
import type { EnteringRecord } from "./known-record.ts";

/** The answer to a call, which its door puts into the form of its protocol. */
export interface CallReceipt {
  /** 16 bytes. */
  receiptId: Uint8Array;
  /** What was decided about each record, in their order. */
  records: readonly (EnteringRecord | RejectedRecord)[];
  /** How many were accepted. */
  accepted: number;
  /** When they were, in microseconds since 1970; undefined where none was. */
  acceptedAtUs: number | undefined;
  /** 32 hexadecimal digits, or "". */
  traceId: string;
  /** Unspecified where no record was accepted. */
  durability: DurabilityLevel;
}

/** The receipt as a message of the protobuf library; `encode-receipt.ts` writes the same as bytes. */
export function toReceipt(receipt: CallReceipt): Receipt {
  const { receiptId, records, accepted, acceptedAtUs, traceId, durability } = receipt;
  return create(ReceiptSchema, {
    receiptId: formatUuid(receiptId),
    ...(acceptedAtUs !== undefined && { acceptedAt: toTimestamp(acceptedAtUs) }),
    accepted,
    rejected: records.length - accepted,
    statuses: records.map(toStatus),
    traceId,
    durability,
  });
}

function toTimestamp(us: number): Timestamp {
  return create(TimestampSchema, { seconds: BigInt(Math.floor(us / 1e6)), nanos: (us % 1e6) * 1000 });
}

function toStatus(record: EnteringRecord | RejectedRecord): RecordStatus {
  // A plain object instead of `create`: there is one for every record.
  const status = { $typeName: "chowhound.v1.RecordStatus" as const };
  if (record.kind === "rejected") {
    const { reason, field, message } = record;
    return { ...status, uuid: "", outcome: RecordOutcome.REJECTED, reason, field, message };
  }
  const uuid = formatUuid(record.uuid);
  return { ...status, uuid, outcome: RecordOutcome.ACCEPTED, reason: "", field: "", message: "" };
}
