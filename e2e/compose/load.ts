import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { status } from "@grpc/grpc-js";

/** A producer that writes its keys again and again, newer every time, and sends again what was not answered. */
export interface Load {
  readonly keys: number;
  /** Records answered as accepted so far. */
  accepted(): number;
  /** Ends after a last whole round, and returns its number: what every row must say. */
  stop(): Promise<number>;
}

const keys = 40;
const pauseMs = 100;
const patienceMs = 60_000;
const transient: readonly unknown[] = [
  status.UNAVAILABLE,
  status.RESOURCE_EXHAUSTED,
  status.DEADLINE_EXCEEDED,
  // A connection that breaks in the middle of an answer.
  status.CANCELLED,
];

export function startLoad(address: string, key: string, sourceId: string): Load {
  const client = createGrpcClient(IngestionService, address, { key, timeoutMs: 10_000 });
  let accepted = 0;
  let isOver = false;

  const push = async (round: number): Promise<void> => {
    const updatedAt = timestampFromMs(Date.UTC(2026, 0, 1) + round * 1000);
    const records = Array.from({ length: keys }, (_, i) =>
      create(IngestionDataSchema, {
        sourceType: "note",
        sourceId,
        dataId: String(i),
        data: `round ${round}`,
        updatedAt,
      }),
    );
    const deadlineMs = performance.now() + patienceMs;
    for (;;) {
      try {
        accepted += (await client.calls.ingest({ records })).receipt?.accepted ?? 0;
        return;
      } catch (error) {
        const mayRetry = transient.includes((error as { code?: unknown }).code);
        if (!mayRetry || performance.now() > deadlineMs) throw error;
        await sleep(200);
      }
    }
  };
  const rounds = (async () => {
    for (let round = 1; ; round++) {
      const isLast = isOver;
      await push(round);
      if (isLast) return round;
      await sleep(pauseMs);
    }
  })();
  // Whoever stops the load hears of it.
  rounds.catch(() => {});

  return {
    keys,
    accepted: () => accepted,
    stop: () => {
      isOver = true;
      return rounds.finally(() => client.close());
    },
  };
}
