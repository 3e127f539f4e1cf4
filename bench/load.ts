import { setTimeout as sleep } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import {
  IngestionService,
  IngestResponseSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { grpcServiceDefinition } from "@chowhound/shared/rpc/grpc-service";
import { credentials, Metadata, makeClientConstructor, type ServiceError, status } from "@grpc/grpc-js";

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

const CALLS_IN_FLIGHT = 16;
const MAX_ATTEMPTS = 100;
const RETRY_MS = 250;
const CALL_TIMEOUT_MS = 30_000;

export interface ProducerOptions {
  grpc: string;
  key: string;
  callsInFlight?: number;
}

/**
 * A producer as they should be: sends batches, reads the receipts, and sends again what it is asked to. It has a connection of its
 * own.
 */
export function createProducer({ grpc, key, callsInFlight = CALLS_IN_FLIGHT }: ProducerOptions): Producer {
  const definition = grpcServiceDefinition(IngestionService, { rawBytes: true });
  const client = new (makeClientConstructor(definition, IngestionService.typeName))(
    grpc,
    credentials.createInsecure(),
    { "grpc.use_local_subchannel_pool": 1 },
  );
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${key}`);

  const ingest = (request: Uint8Array): Promise<Uint8Array> =>
    new Promise((resolve, reject) => {
      const settle = (error: ServiceError | null, response: Uint8Array): void =>
        error === null ? resolve(response) : reject(error);
      client.ingest!(request, metadata, { deadline: Date.now() + CALL_TIMEOUT_MS }, settle);
    });

  const send: Producer["send"] = async (requests, signal) => {
    const receipts: Receipts = { accepted: 0, rejected: 0, retries: 0 };
    const ingestUntilTaken = async (request: Uint8Array): Promise<void> => {
      for (let attempt = 1; ; attempt++) {
        signal.throwIfAborted();
        try {
          const { receipt } = fromBinary(IngestResponseSchema, await ingest(request));
          receipts.accepted += receipt!.accepted;
          receipts.rejected += receipt!.rejected;
          return;
        } catch (error) {
          if (!mayRetry(error) || attempt === MAX_ATTEMPTS) throw error;
          receipts.retries++;
          await sleep(RETRY_MS, undefined, { signal });
        }
      }
    };
    // All lanes draw from one iterator.
    const waiting = requests.values();
    const lane = async (): Promise<void> => {
      for (const request of waiting) await ingestUntilTaken(request);
    };
    await Promise.all(Array.from({ length: callsInFlight }, lane));
    return receipts;
  };
  return { send, close: () => client.close() };
}

function mayRetry(error: unknown): boolean {
  const { code } = error as Partial<ServiceError>;
  return code === status.UNAVAILABLE || code === status.RESOURCE_EXHAUSTED;
}
