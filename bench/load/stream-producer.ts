import { setTimeout as sleep } from "node:timers/promises";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { status } from "@grpc/grpc-js";
import { GrpcConnection } from "./grpc-connection.ts";
import { callFailed } from "./grpc-failure.ts";
import { encodeAuthorization } from "./grpc-headers.ts";
import { MAX_ATTEMPTS, type Producer, RETRY_MS, type Receipts } from "./producer.ts";
import { readReceipt } from "./read-receipt.ts";

const streamPath = `/${IngestionService.typeName}/${IngestionService.method.ingestStream.name}`;

export interface StreamProducerOptions {
  grpc: string;
  key: string;
  /** Each on a connection of its own. */
  streams: number;
  /** Batches without a receipt on one stream; the gateway reads 8 ahead as it ships. */
  window: number;
}

/** Sends each request as one batch of a stream, and again what had no receipt when a stream ended too early. */
export async function openStreamProducer(options: StreamProducerOptions): Promise<Producer> {
  const { grpc, key, streams, window } = options;
  const authorization = encodeAuthorization(key);
  const connections = await Promise.all(
    Array.from({ length: streams }, () => GrpcConnection.open(grpc, streamPath)),
  );
  return {
    send: async (requests, signal) => {
      const receipts: Receipts = { accepted: 0, rejected: 0, retries: 0 };
      // Taken from its end.
      const waiting = [...requests].reverse();
      const keepStreaming = async (connection: GrpcConnection): Promise<void> => {
        for (let attempt = 1; waiting.length > 0; attempt++) {
          signal.throwIfAborted();
          const code = await playStream(connection, { authorization, window, waiting, receipts });
          if (code === status.OK) continue;
          const failure = callFailed(code);
          if (!failure.isTransient || attempt === MAX_ATTEMPTS) throw failure;
          receipts.retries++;
          await sleep(RETRY_MS, undefined, { signal });
        }
      };
      await Promise.all(connections.map(keepStreaming));
      return receipts;
    },
    close: () => {
      for (const connection of connections) connection.close();
    },
  };
}

/** One stream, until nothing waits any more or it fails. Resolves with its status; unanswered batches wait again. */
function playStream(
  connection: GrpcConnection,
  {
    authorization,
    window,
    waiting,
    receipts,
  }: { authorization: Buffer; window: number; waiting: Uint8Array[]; receipts: Receipts },
): Promise<number> {
  return new Promise((resolve) => {
    const first = waiting.pop();
    if (first === undefined) return resolve(status.OK);
    const unanswered = [first];
    const call = connection.call(authorization, first, false, {
      onMessage: (message) => {
        const { accepted, rejected } = readReceipt(message);
        receipts.accepted += accepted;
        receipts.rejected += rejected;
        unanswered.shift();
        fill();
        if (unanswered.length === 0) connection.end(call);
      },
      onEnd: (code) => {
        waiting.push(...unanswered.reverse());
        resolve(code);
      },
    });
    const fill = (): void => {
      while (unanswered.length < window) {
        const request = waiting.pop();
        if (request === undefined) return;
        unanswered.push(request);
        connection.send(call, request, false);
      }
    };
    fill();
  });
}
