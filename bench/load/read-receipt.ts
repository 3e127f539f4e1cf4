import { fieldNumber, WireReader } from "@chowhound/shared/record/wire";

/** What a producer needs of a receipt. */
export interface ReceiptCounts {
  accepted: number;
  rejected: number;
  /** Empty where there is none. */
  receiptId: string;
}

// The numbers of the fields on the wire; proto/chowhound/v1/ingestion_service.proto is their source.
const RESPONSE = { receipt: 1 };
const RECEIPT = { receiptId: 1, accepted: 3, rejected: 4 };

/**
 * Reads the counts of an encoded IngestResponse or IngestStreamResponse and passes over the status of each record, which would
 * cost as much as all else that the load generator does.
 */
export function readReceipt(response: Buffer): ReceiptCounts {
  const receipt: ReceiptCounts = { accepted: 0, rejected: 0, receiptId: "" };
  const outer = new WireReader(response);
  while (!outer.done) {
    const tag = outer.uint32();
    if (fieldNumber(tag) !== RESPONSE.receipt) {
      outer.skip(tag & 7, tag >>> 3);
      continue;
    }
    const length = outer.length();
    readCounts(new WireReader(response, outer.pos, outer.pos + length), response, receipt);
    outer.pos += length;
  }
  return receipt;
}

function readCounts(reader: WireReader, bytes: Buffer, into: ReceiptCounts): void {
  while (!reader.done) {
    const tag = reader.uint32();
    const field = fieldNumber(tag);
    if (field === RECEIPT.accepted) into.accepted = reader.uint32();
    else if (field === RECEIPT.rejected) into.rejected = reader.uint32();
    else if (field === RECEIPT.receiptId) {
      const length = reader.length();
      into.receiptId = bytes.toString("latin1", reader.pos, reader.pos + length);
      reader.pos += length;
    } else reader.skip(tag & 7, field);
  }
}
