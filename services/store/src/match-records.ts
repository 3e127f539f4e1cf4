import { UUID_BYTES } from "@chowhound/shared/record/uuid";

/** What is searched: the columns of a batch, wherever it is. */
export interface SearchedRecords {
  /** 16 bytes a record. */
  uuids: Uint8Array;
  /** Empty where there is one call only. */
  callOf: readonly number[];
  calls: readonly { tenantId: string; receiptId: Uint8Array }[];
}

export interface MatchedRecords {
  /** Ascending. */
  places: number[];
  /** The id is the receipt of a call of the tenant's. */
  isReceipt: boolean;
}

/** The tenant's records that have the id as their uuid, or came with it as their receipt. */
export function matchRecords(records: SearchedRecords, tenantId: string, id: Uint8Array): MatchedRecords {
  const { uuids, callOf, calls } = records;
  const isOwn = calls.map((call) => call.tenantId === tenantId);
  const hasReceipt = calls.map(({ receiptId }, call) => isOwn[call]! && Buffer.compare(receiptId, id) === 0);
  const places: number[] = [];
  for (let place = 0; place < uuids.length / UUID_BYTES; place++) {
    const call = callOf[place] ?? 0;
    const at = place * UUID_BYTES;
    const isMatch =
      hasReceipt[call] || (isOwn[call] && Buffer.compare(uuids.subarray(at, at + UUID_BYTES), id) === 0);
    if (isMatch) places.push(place);
  }
  return { places, isReceipt: hasReceipt.includes(true) };
}
