import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type BookKeeper, openBooks } from "@chowhound/local/books";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { type Mesh, type MeshOptions, startMesh } from "@chowhound/local/mesh";
import type { ServiceName } from "@chowhound/local/mesh-service";
import { removePostgresData } from "@chowhound/local/postgres";
import { AdminService } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import type { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { IngestionService, type Receipt } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import type { MetricName } from "@chowhound/shared/telemetry/metric-registry";
import { status } from "@grpc/grpc-js";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

export type RecordInit = MessageInitShape<typeof IngestionDataSchema>;

/** A whole mesh of real processes, for one test file. */
export interface MeshUnderTest extends Mesh {
  books: BookKeeper;
  /** One unary call, without retries. */
  ingest(records: readonly RecordInit[]): Promise<Receipt>;
  /** As a real producer: sends the same records again until they are accepted. */
  ingestUntilAccepted(records: readonly RecordInit[]): Promise<Receipt>;
  /** What a service counts since it started, as GetStatus shows it; 0 where it has not counted yet. */
  counter(service: ServiceName, name: MetricName): Promise<number>;
  /** Waits until no stream holds a batch: all that was accepted is booked. Throws where that takes too long. */
  untilDrained(): Promise<void>;
  remove(): Promise<void>;
}

const DRAIN_TIMEOUT_MS = 60_000;

export async function startMeshUnderTest(
  options: Omit<MeshOptions, "dataDir" | "log"> = {},
): Promise<MeshUnderTest> {
  const dataDir = await mkdtemp(join(tmpdir(), "chowhound-e2e-"));
  const mesh = await startMesh({ durable: false, ...options, dataDir, log: () => {} });
  const books = await openBooks(mesh.endpoints.postgresUrl);
  const client = createGrpcClient(IngestionService, mesh.endpoints.grpc, {
    key: mesh.endpoints.key,
    timeoutMs: 10_000,
  });
  const ingest = async (records: readonly RecordInit[]): Promise<Receipt> =>
    (await client.calls.ingest({ records: [...records] })).receipt!;

  const ingestUntilAccepted = async (records: readonly RecordInit[]): Promise<Receipt> => {
    const deadlineMs = performance.now() + DRAIN_TIMEOUT_MS;
    for (;;) {
      try {
        return await ingest(records);
      } catch (error) {
        const { code } = error as { code?: status };
        const isTransient =
          code === status.UNAVAILABLE ||
          code === status.RESOURCE_EXHAUSTED ||
          code === status.DEADLINE_EXCEEDED;
        if (!isTransient || performance.now() > deadlineMs) throw error;
        await sleep(100);
      }
    }
  };

  const untilDrained = async (): Promise<void> => {
    const nc = await connect({ servers: mesh.endpoints.natsUrl });
    try {
      const jsm = await jetstreamManager(nc);
      const deadlineMs = performance.now() + DRAIN_TIMEOUT_MS;
      for (;;) {
        const streams = await jsm.streams.list().next();
        const left = streams
          .filter(({ config }) => /-(raw|enriched|unique)$/.test(config.name))
          .map(({ config, state }) => ({ stream: config.name, messages: state.messages }));
        if (left.every(({ messages }) => messages === 0)) return;
        if (performance.now() > deadlineMs)
          throw new Error(`the mesh does not drain: ${JSON.stringify(left)}`);
        await sleep(100);
      }
    } finally {
      await nc.close();
    }
  };

  const counter = async (service: ServiceName, name: MetricName): Promise<number> => {
    const admin = createGrpcClient(AdminService, mesh.endpoints.admin[service]!);
    try {
      return Number((await admin.calls.getStatus({})).counters[name] ?? 0n);
    } finally {
      admin.close();
    }
  };

  return {
    ...mesh,
    books,
    counter,
    ingest,
    ingestUntilAccepted,
    untilDrained,
    remove: async () => {
      client.close();
      await books.close();
      try {
        await mesh.stop();
      } finally {
        await removePostgresData(join(dataDir, "postgres"));
        await rm(dataDir, { recursive: true, force: true });
      }
    },
  };
}

/** A record of one source; its version is `second`. */
export function note(dataId: string, data: string, second = 1, more: RecordInit = {}): RecordInit {
  const updatedAt = timestampFromMs(Date.UTC(2026, 0, 1) + second * 1000);
  return { sourceType: "note", sourceId: "e2e", dataId, data, updatedAt, ...more };
}
