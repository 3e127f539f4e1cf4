import type { RecordFate, SearchGap } from "@chowhound/shared/contracts/chowhound/v1/query_service";

/** What a search has found, and what it has left out. */
export interface FoundFates {
  fates: RecordFate[];
  gaps: SearchGap[];
}

/**
 * Reads what became of records, for LocateRecords. Nothing of another tenant than `tenantId` is in an answer. Rejects with
 * CallError: query_too_slow, store_unavailable.
 */
export interface FateReader {
  /**
   * The fates of the tenant's record with this uuid, and those of its records that came with this receipt, in no order,
   * as far as the books tell alone.
   *
   * @param id 16 bytes: a record's uuid or a receipt's id
   * @param sinceUs how far back a uuid is searched, in microseconds since 1970; undefined: to the time inside it
   */
  find(tenantId: string, id: Uint8Array, sinceUs: number | undefined): Promise<FoundFates>;
  /** Adds what the table and the dead letters say by now: `row` and `deadLetter`. */
  describe(tenantId: string, fates: readonly RecordFate[]): Promise<void>;
}
