import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { contentHash } from "@chowhound/shared/record/content-hash";
import { LIMITS } from "@chowhound/shared/record/limits";
import { RecordView } from "@chowhound/shared/record/record-view";
import { type AcceptedRecord, validateRecord } from "@chowhound/shared/record/validate-record";
import { createLogger } from "@chowhound/shared/runtime/logger";
import { Tap } from "@chowhound/shared/tap/tap";
import { Meter } from "@chowhound/shared/telemetry/meter";
import { createAccept } from "../../services/gateway/src/accept.ts";
import { Batcher } from "../../services/gateway/src/batcher.ts";
import { readBinaryRequest } from "../../services/gateway/src/binary-request.ts";
import type { CallReceipt } from "../../services/gateway/src/call-receipt.ts";
import { encodeBatch } from "../../services/gateway/src/encode-batch.ts";
import { encodeResponse } from "../../services/gateway/src/encode-receipt.ts";
import { InFlightBytes } from "../../services/gateway/src/in-flight-bytes.ts";
import { createServe } from "../../services/gateway/src/serve-call.ts";
import { encodeRequests } from "../generate-records.ts";
import type { Piece } from "./piece.ts";

const RECORDS = 20_000;
const SINGLE_CALLS = 4_000;
const CALLS_IN_FLIGHT = 16;
const CLIENTS = 64;
const TENANT = "bench";
const BATCH_BYTES = 512 * 1024;

/** What the gateway does with a call, without sockets and without a stream: its own share of the cost. */
export function gatewayPieces(): Piece[] {
  const encode = (count: number, callRecords?: number): Buffer[] =>
    encodeRequests({ first: 0, count, revision: 0 }, callRecords).map((request) => Buffer.from(request));
  const requests = encode(RECORDS);
  const singles = encode(SINGLE_CALLS, 1);
  const calls = requests.map((request) => readBinaryRequest(request).records);
  const context = { tenantId: TENANT, nowMs: Date.now(), maxRecordBytes: LIMITS.recordBytes };
  const judged = calls.map((records) =>
    records.map((record) => validateRecord(record, context) as AcceptedRecord),
  );
  const receiptId = Buffer.alloc(16, 1);
  const view = new RecordView();
  const ingest = createIngest();
  return [
    {
      name: "validate",
      per: "record",
      run: () => {
        for (const records of calls) for (const record of records) validateRecord(record, context);
        return RECORDS;
      },
    },
    {
      name: "of that, the content hash",
      per: "record",
      run: () => {
        for (const records of calls) for (const record of records) contentHash(view.read(record));
        return RECORDS;
      },
    },
    {
      name: "encode and pack a batch of 500",
      per: "record",
      run: () => {
        const origin = { tenantId: TENANT, receiptId, traceparent: "", tracestate: "" };
        for (const records of judged) {
          const common = { batchId: receiptId, acceptedAtUs: Date.now() * 1000, partition: 0 };
          encodeBatch({ ...common, calls: [origin], records, callOf: records.map(() => 0) });
        }
        return RECORDS;
      },
    },
    {
      name: "encode a receipt of 500",
      per: "record",
      run: () => {
        for (const records of judged) encodeResponse(receiptOf(receiptId, records));
        return RECORDS;
      },
    },
    {
      name: "a call of 500, from bytes to bytes",
      per: "record",
      run: async () => {
        await inTurns(requests, CALLS_IN_FLIGHT, ingest);
        return RECORDS;
      },
    },
    {
      name: "a call of one, 64 at a time",
      per: "call",
      run: async () => {
        await inTurns(singles, CLIENTS, ingest);
        return SINGLE_CALLS;
      },
    },
  ];
}

function receiptOf(receiptId: Buffer, records: readonly AcceptedRecord[]): CallReceipt {
  return {
    receiptId,
    records,
    accepted: records.length,
    acceptedAtUs: Date.now() * 1000,
    traceId: "",
    durability: DurabilityLevel.SYNCED,
  };
}

/** From an encoded request to the encoded response, with a stream that acknowledges at once. */
function createIngest(): (request: Buffer) => Promise<Buffer> {
  const meter = new Meter("gateway");
  const batcher = new Batcher({
    maxRecords: 500,
    maxBytes: () => BATCH_BYTES,
    lingerMs: 0,
    partitionOf: () => 0,
    publish: async () => {},
  });
  const accept = createAccept({
    serve: createServe({ authenticate: () => TENANT, meter, log: createLogger("gateway", "error") }),
    assertOpen: () => {},
    inFlight: new InFlightBytes(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    arriving: new InFlightBytes(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    look: () => undefined,
    submit: (origin, records) => batcher.submit(origin, records),
    maxRecordBytes: () => LIMITS.recordBytes,
    durability: () => DurabilityLevel.SYNCED,
    meter,
    tap: new Tap(),
  });
  return async (request) =>
    encodeResponse(
      await accept({ authorization: "Bearer key", records: () => readBinaryRequest(request).records }),
    );
}

async function inTurns<T>(
  items: readonly T[],
  atATime: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  for (let i = 0; i < items.length; i += atATime) await Promise.all(items.slice(i, i + atATime).map(work));
}
