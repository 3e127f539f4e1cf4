import { setTimeout as sleep } from "node:timers/promises";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import {
  type LocateRecordsResponse,
  QueryService,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { ErrorInfoSchema, RetryInfoSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import type { KnownRecord } from "./known-records.ts";
import type { Attempt, Ledger } from "./ledger.ts";

/** A producer of one tenant, as a real one is: what got no receipt is sent again, when the gateway says, until it has one. */
export interface Producer {
  readonly tenant: string;
  /** One call, and again the whole call while it fails. */
  send(records: readonly KnownRecord[]): Promise<void>;
  /**
   * The batches on one stream; those that got no receipt, when it ends or breaks, in calls of their own.
   * @param cutAfter receipts after which the producer hangs up, whatever is under way
   */
  stream(batches: readonly (readonly KnownRecord[])[], cutAfter?: number): Promise<void>;
  /** What became of the records of one of its receipts. */
  locate(receiptId: string): Promise<LocateRecordsResponse>;
  close(): void;
}

/** A failure that sending again cannot mend. */
const FINAL_CODES = new Set([
  Code.InvalidArgument,
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.Unimplemented,
]);
const CALL_TIMEOUT_MS = 10_000;
const RETRY_MS = 100;

/** @param door the gateway's gRPC door, such as "127.0.0.1:24690" */
export function createProducer(options: {
  door: string;
  tenant: string;
  key: string;
  ledger: Ledger;
  signal: AbortSignal;
}): Producer {
  const { tenant, ledger, signal } = options;
  const baseUrl = `http://${options.door}`;
  const sessionManager = new Http2SessionManager(
    baseUrl,
    // Finds out that a connection is half open; else the gateway does, after up to 80 s.
    { pingIntervalMs: 5_000, pingTimeoutMs: 5_000 },
    // In MB. Node counts what a stream that is hung up on had not sent yet against its session for ever, and fails each new
    // stream once that is 10 MB.
    { maxSessionMemory: 10_000 },
  );
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${options.key}`);
        return next(request);
      },
    ],
  });
  const client = createClient(IngestionService, transport);
  const queries = createClient(QueryService, transport);

  /** Resolves when it is time to try again; throws what is final. */
  const onFailure = async (error: unknown): Promise<void> => {
    ledger.failed();
    if (signal.aborted || !(error instanceof ConnectError) || FINAL_CODES.has(error.code)) throw error;
    const [info] = error.findDetails(ErrorInfoSchema);
    if (info?.reason === "internal") ledger.problems.push(`${tenant}: a call failed with an internal error`);
    const [retry] = error.findDetails(RetryInfoSchema);
    const asked = retry?.retryDelay;
    await sleep(asked === undefined ? RETRY_MS : Number(asked.seconds) * 1000 + asked.nanos / 1e6);
  };

  const send = async (records: readonly KnownRecord[]): Promise<void> => {
    for (;;) {
      const attempt = ledger.sending(tenant, records);
      try {
        const call = { records: records.map(({ init }) => init) };
        const { receipt } = await client.ingest(call, { timeoutMs: CALL_TIMEOUT_MS, signal });
        ledger.answered(attempt, receipt!);
        return;
      } catch (error) {
        await onFailure(error);
      }
    }
  };

  const stream = async (batches: readonly (readonly KnownRecord[])[], cutAfter = Infinity): Promise<void> => {
    const unanswered = new Map(batches.map((records, number) => [BigInt(number), records]));
    const attempts = new Map<bigint, Attempt>();
    const hangUp = new AbortController();
    async function* requests() {
      for (const [batchNumber, records] of unanswered) {
        attempts.set(batchNumber, ledger.sending(tenant, records));
        yield { batchNumber, records: records.map(({ init }) => init) };
      }
    }
    try {
      const receipts = client.ingestStream(requests(), {
        timeoutMs: CALL_TIMEOUT_MS,
        signal: AbortSignal.any([signal, hangUp.signal]),
      });
      let count = 0;
      for await (const { batchNumber, receipt } of receipts) {
        ledger.answered(attempts.get(batchNumber)!, receipt!);
        unanswered.delete(batchNumber);
        if (++count === cutAfter) hangUp.abort();
      }
    } catch (error) {
      if (!hangUp.signal.aborted) await onFailure(error);
    }
    for (const records of unanswered.values()) await send(records);
  };

  return {
    tenant,
    send,
    stream,
    locate: (id) => queries.locateRecords({ id, pageSize: 1 }, { timeoutMs: CALL_TIMEOUT_MS }),
    close: () => sessionManager.abort(),
  };
}
