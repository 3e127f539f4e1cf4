import { randomBytes } from "node:crypto";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { LIMITS } from "@chowhound/shared/record/limits";
import { type AcceptedRecord, validateRecord } from "@chowhound/shared/record/validate-record";
import { appendAdditions, enrichBatch } from "../../services/enricher/src/enrich-batch.ts";
import { readBinaryRequest } from "../../services/gateway/src/binary-request.ts";
import { encodeBatch } from "../../services/gateway/src/encode-batch.ts";
import { encodeRequests, type RecordRange } from "../generate-records.ts";

const TENANT = "bench";
const MAX_BYTES = 4 * 1024 * 1024;

/** Batches of 500 as the store takes them off its stream: through the gateway's and the enricher's own code. */
export function batchesOf(range: RecordRange): RecordBatch[] {
  const context = { tenantId: TENANT, nowMs: Date.now(), maxRecordBytes: LIMITS.recordBytes };
  return encodeRequests(range).map((request, i) => {
    const records = readBinaryRequest(Buffer.from(request)).records.map(
      (record) => validateRecord(record, context) as AcceptedRecord,
    );
    const calls = [{ tenantId: TENANT, receiptId: randomBytes(16), traceparent: "", tracestate: "" }];
    const common = { batchId: randomBytes(16), acceptedAtUs: Date.now() * 1000, partition: 0 };
    const raw = encodeBatch({ ...common, calls, records, callOf: records.map(() => 0) });
    const origin = { epoch: 1n, sequence: BigInt(range.first + i + 1) };
    const additions = enrichBatch(decode(raw), origin, new Map(), { maxBytes: MAX_BYTES });
    return decode(appendAdditions(raw, additions, MAX_BYTES)!.bytes);
  });
}

function decode(message: Uint8Array): RecordBatch {
  const decoded = decodeBatch(message);
  if (decoded.kind !== "batch") throw new Error(`not a batch: ${decoded.kind}`);
  return decoded.batch;
}
