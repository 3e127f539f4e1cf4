import { create, fromBinary } from "@bufbuild/protobuf";
import {
  type BatchFates,
  BatchFatesSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/batch_fates";
import {
  type RecordFate,
  RecordFateSchema,
  type RecordState,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { formatUuid, UUID_BYTES } from "@chowhound/shared/record/uuid";
import { inMicroseconds, toTimestamp } from "./landed-row.ts";
import { formatLetterId } from "./letter-id.ts";
import { matchRecords } from "./match-records.ts";

/** The columns of an InvoiceRow. */
export const INVOICE = `batch_id as "batchId", epoch, raw_seq as "rawSequence", replay_of as "replayOf", detail,
  ${inMicroseconds("accepted_at")} as "acceptedUs", ${inMicroseconds("booked_at")} as "bookedUs"`;

/** Numbers of 64 bits are decimal texts. */
export interface InvoiceRow {
  batchId: string;
  epoch: string;
  rawSequence: string;
  replayOf: string | null;
  detail: Buffer;
  acceptedUs: string;
  bookedUs: string;
}

/** The fates of an id that are found in the details of invoices, each once. */
export class FoundInvoices {
  readonly tenantId: string;
  readonly id: Uint8Array;
  readonly fates: RecordFate[] = [];
  isReceipt = false;
  /** Records that may or may not be of the receipt's call. */
  unknownRecords = 0;
  readonly #searched = new Set<string>();

  constructor(tenantId: string, id: Uint8Array) {
    this.tenantId = tenantId;
    this.id = id;
  }

  hasSearched(batchId: string): boolean {
    return this.#searched.has(batchId);
  }

  add(invoices: readonly InvoiceRow[]): void {
    for (const invoice of invoices) {
      if (this.#searched.has(invoice.batchId)) continue;
      this.#searched.add(invoice.batchId);
      const detail = fromBinary(BatchFatesSchema, invoice.detail);
      const { places, isReceipt } = matchRecords(detail, this.tenantId, this.id);
      this.isReceipt ||= isReceipt;
      if (isReceipt)
        this.unknownRecords += detail.callOf.filter((call) => call >= detail.calls.length).length;
      for (const place of places) this.fates.push(fateAt(detail, place, invoice));
    }
  }
}

function fateAt(detail: BatchFates, place: number, invoice: InvoiceRow): RecordFate {
  const call = detail.calls[detail.callOf[place] ?? 0]!;
  const { batchId, epoch, rawSequence, replayOf } = invoice;
  return create(RecordFateSchema, {
    uuid: formatUuid(detail.uuids, place * UUID_BYTES),
    state: detail.states[place] as RecordState,
    receiptId: formatUuid(call.receiptId),
    traceId: Buffer.from(call.traceId).toString("hex"),
    acceptedAt: toTimestamp(invoice.acceptedUs),
    bookedAt: toTimestamp(invoice.bookedUs),
    pipelineVersion: detail.pipelineVersions[detail.pipelineOf[place] ?? 0] ?? 0n,
    batch: {
      batchId,
      ordinal: place,
      epoch: BigInt(epoch),
      rawSequence: BigInt(rawSequence),
      replayOf:
        replayOf === null
          ? ""
          : formatLetterId({ batchId: replayOf, ordinal: detail.replayOrdinals[place]! }),
    },
  });
}
