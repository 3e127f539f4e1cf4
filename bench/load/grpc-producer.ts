import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { status } from "@grpc/grpc-js";
import { GrpcConnection } from "./grpc-connection.ts";
import { callFailed } from "./grpc-failure.ts";
import { encodeAuthorization } from "./grpc-headers.ts";
import { type Ingest, type Producer, sendThrough } from "./producer.ts";
import { type ReceiptCounts, readReceipt } from "./read-receipt.ts";

const ingestPath = `/${IngestionService.typeName}/${IngestionService.method.ingest.name}`;
const CALLS_IN_FLIGHT = 16;

export interface ProducerOptions {
  /** Of one gateway or several, which the connections take in turn. */
  grpc: string | readonly string[];
  key: string;
  /** One to each gateway by default. */
  connections?: number;
  /** Over all connections; 16 by default. */
  callsInFlight?: number;
}

/** A producer as they should be: sends batches, reads the receipts, and sends again what it is asked to. */
export async function openProducer(options: ProducerOptions): Promise<Producer> {
  const { key, callsInFlight = CALLS_IN_FLIGHT } = options;
  const gateways = [options.grpc].flat();
  const { connections = gateways.length } = options;
  const lines = await Promise.all(
    Array.from({ length: connections }, (_, i) =>
      openIngest({ grpc: gateways[i % gateways.length]!, keys: [key] }),
    ),
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
          else reject(callFailed(code));
        },
      });
    });
  return { ingest, close: () => connection.close() };
}
