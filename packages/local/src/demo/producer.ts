import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type IngestionData,
  IngestionDataSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import {
  IngestionService,
  type IngestStreamRequest,
  IngestStreamRequestSchema,
  type IngestStreamResponse,
  type Receipt,
  RecordOutcome,
  type RecordStatus,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { createGrpcClient } from "../grpc-client.ts";

/** What a producer has done so far. */
export interface ProducerCounts {
  calls: number;
  /** Records sent; those sent again count again. */
  pushed: number;
  accepted: number;
  rejected: number;
}

export interface Producer {
  readonly counts: ProducerCounts;
  /** One call. Returns one status per record. */
  push(records: readonly IngestionData[]): Promise<RecordStatus[]>;
  /** One stream of batches. Resolves when each has its receipt; returns the statuses of each batch. */
  pushStream(batches: readonly (readonly IngestionData[])[]): Promise<RecordStatus[][]>;
  close(): void;
}

const maxBatchRecords = 40;
const maxBatchBytes = 1 << 20;
const maxAttempts = 10;
const streamTimeoutMs = 60_000;

/** A producer as they should be: sends batches, and sends them again where the gateway asks for it. */
export function createProducer(address: string, key: string): Producer {
  const client = createGrpcClient(IngestionService, address, { key });
  const counts: ProducerCounts = { calls: 0, pushed: 0, accepted: 0, rejected: 0 };
  const book = (receipt: Receipt | undefined): RecordStatus[] => {
    counts.pushed += receipt?.statuses.length ?? 0;
    counts.accepted += receipt?.accepted ?? 0;
    counts.rejected += receipt?.rejected ?? 0;
    return receipt?.statuses ?? [];
  };

  const streamOnce = (batches: readonly (readonly IngestionData[])[]): Promise<RecordStatus[][]> =>
    new Promise((resolve, reject) => {
      const stream: ClientDuplexStream<IngestStreamRequest, IngestStreamResponse> = client.raw.ingestStream!(
        client.metadata,
        { deadline: Date.now() + streamTimeoutMs },
      );
      const answered: RecordStatus[][] = batches.map(() => []);
      stream.on("data", ({ batchNumber, receipt }: IngestStreamResponse) => {
        answered[Number(batchNumber) - 1] = book(receipt);
      });
      stream.on("error", reject);
      stream.on("end", () => resolve(answered));
      batches.forEach((records, i) => {
        stream.write(
          create(IngestStreamRequestSchema, { records: [...records], batchNumber: BigInt(i + 1) }),
        );
      });
      stream.end();
    });

  return {
    counts,
    async push(records) {
      counts.calls++;
      const { receipt } = await withRetries(() => client.calls.ingest({ records: [...records] }));
      return book(receipt);
    },
    async pushStream(batches) {
      counts.calls++;
      return streamOnce(batches);
    },
    close: client.close,
  };
}

/** Splits records into batches within what one call takes. */
export function inBatches(records: readonly IngestionData[]): IngestionData[][] {
  const batches: IngestionData[][] = [];
  let bytes = 0;
  for (const record of records) {
    const size = toBinary(IngestionDataSchema, record).length;
    const current = batches.at(-1);
    if (current === undefined || current.length === maxBatchRecords || bytes + size > maxBatchBytes) {
      batches.push([record]);
      bytes = size;
    } else {
      current.push(record);
      bytes += size;
    }
  }
  return batches;
}

export function isAccepted({ outcome }: RecordStatus): boolean {
  return outcome === RecordOutcome.ACCEPTED;
}

/** Refused because the mesh is full or not ready: nothing of the call was taken, and it may come again. */
async function withRetries<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const { code } = error as ServiceError;
      const mayRetry = code === status.RESOURCE_EXHAUSTED || code === status.UNAVAILABLE;
      if (!mayRetry || attempt === maxAttempts) throw error;
      await sleep(500);
    }
  }
}
