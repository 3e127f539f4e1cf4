import { setTimeout as sleep } from "node:timers/promises";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { status } from "@grpc/grpc-js";
import { GrpcConnection } from "./grpc-connection.ts";
import { encodeAuthorization } from "./grpc-headers.ts";
import { type ReceiptCounts, readReceipt } from "./read-receipt.ts";

/** What the receipts of a load say. */
export interface Receipts {
  accepted: number;
  rejected: number;
  /** Calls that were sent again, because the gateway asked for it. */
  retries: number;
}

export interface Producer {
  /** Sends every request, a bounded number of them at a time, and resolves when each has its receipt. */
  send(requests: readonly Uint8Array[], signal: AbortSignal): Promise<Receipts>;
  close(): void;
}

/** One call, from its request to its receipt. Rejects with {@link CallFailedError}. */
export type Ingest = (request: Uint8Array) => Promise<ReceiptCounts>;

/** The gateway has refused a call, or could not answer it. */
export class CallFailedError extends Error {
  override readonly name = "CallFailedError";
  /** It may be sent again. */
  readonly isTransient: boolean;

  constructor(code: number) {
    super(`a call ended with the gRPC status ${code} (${status[code]})`);
    this.isTransient = code === status.UNAVAILABLE || code === status.RESOURCE_EXHAUSTED;
  }
}

const ingestPath = `/${IngestionService.typeName}/${IngestionService.method.ingest.name}`;
const CALLS_IN_FLIGHT = 16;
const MAX_ATTEMPTS = 100;
const RETRY_MS = 250;

export interface ProducerOptions {
  grpc: string;
  key: string;
  /** 1 by default. */
  connections?: number;
  /** Over all connections; 16 by default. */
  callsInFlight?: number;
}

/** A producer as they should be: sends batches, reads the receipts, and sends again what it is asked to. */
export async function openProducer(options: ProducerOptions): Promise<Producer> {
  const { grpc, key, connections = 1, callsInFlight = CALLS_IN_FLIGHT } = options;
  const lines = await Promise.all(
    Array.from({ length: connections }, () => openIngest({ grpc, keys: [key] })),
  );
  const lanes = Array.from({ length: callsInFlight }, (_, lane) => lines[lane % connections]!.ingest);
  return {
    send: (requests, signal) => sendThrough(lanes, requests, signal),
    close: () => {
      for (const { close } of lines) close();
    },
  };
}

/** One connection for unary calls. Several keys: the calls take them in turn. */
export async function openIngest(options: {
  grpc: string;
  keys: readonly string[];
}): Promise<{ ingest: Ingest; close(): void }> {
  const connection = await GrpcConnection.open(options.grpc, ingestPath);
  const authorizations = options.keys.map(encodeAuthorization);
  let calls = 0;
  const ingest: Ingest = (request) =>
    new Promise((resolve, reject) => {
      let receipt: ReceiptCounts | undefined;
      connection.call(authorizations[calls++ % authorizations.length]!, request, true, {
        onMessage: (message) => {
          receipt = readReceipt(message);
        },
        onEnd: (code) => {
          if (code === status.OK && receipt !== undefined) resolve(receipt);
          else reject(new CallFailedError(code));
        },
      });
    });
  return { ingest, close: () => connection.close() };
}

/** Each lane has one call under way; all draw from the same requests. */
export async function sendThrough(
  lanes: readonly Ingest[],
  requests: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<Receipts> {
  const receipts: Receipts = { accepted: 0, rejected: 0, retries: 0 };
  const waiting = requests.values();
  const work = async (ingest: Ingest): Promise<void> => {
    for (const request of waiting) {
      for (let attempt = 1; ; attempt++) {
        signal.throwIfAborted();
        try {
          const { accepted, rejected } = await ingest(request);
          receipts.accepted += accepted;
          receipts.rejected += rejected;
          break;
        } catch (error) {
          if (!(error instanceof CallFailedError && error.isTransient) || attempt === MAX_ATTEMPTS)
            throw error;
          receipts.retries++;
          await sleep(RETRY_MS, undefined, { signal });
        }
      }
    }
  };
  await Promise.all(lanes.map(work));
  return receipts;
}
