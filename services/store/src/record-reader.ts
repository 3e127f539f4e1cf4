import type {
  GetRecordRequest,
  ListRecordsRequest,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import type { FateReader } from "./fate-reader.ts";

/**
 * Reads landed records back, for QueryService. The requests are valid ones; nothing of another tenant than `tenantId` is
 * in an answer. All of it rejects with CallError where the question has no answer: record_not_found, invalid_query,
 * query_too_slow, answer_too_large, store_unavailable.
 */
export interface RecordReader {
  /** How many questions it answers at the same time. */
  readonly lanes: number;
  /** An encoded GetRecordResponse of at most `maxBytes`. */
  getRecord(tenantId: string, request: GetRecordRequest, maxBytes: number): Promise<Uint8Array>;
  /** An encoded ListRecordsResponse of at most `maxBytes`. */
  listRecords(tenantId: string, request: ListRecordsRequest, maxBytes: number): Promise<Uint8Array>;
  /** What became of records. */
  readonly fates: FateReader;
  close(): Promise<void>;
}
