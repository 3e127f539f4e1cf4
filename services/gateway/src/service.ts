import type { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { recordBytesLimit } from "@chowhound/shared/record/limits";
import type { Service, ServiceRuntime } from "@chowhound/shared/service/run-service";
import { natsNames } from "@chowhound/shared/stream/topology";
import { createAccept } from "./accept.ts";
import { AcceptWatch } from "./accept-durability.ts";
import { Batcher } from "./batcher.ts";
import { askCommitDurability } from "./commit-durability.ts";
import { CommitWatch, weaker } from "./commit-watch.ts";
import { type GatewayConfig, settings } from "./config.ts";
import { createGrpcIngestor } from "./grpc-ingestor.ts";
import { createHttpIngestor } from "./http-ingestor.ts";
import { InFlightBytes } from "./in-flight-bytes.ts";
import type { Ingestor } from "./ingestor.ts";
import { type Authenticator, type KeyRing, openKeyRing } from "./keys.ts";
import { openRecall } from "./open-recall.ts";
import { partitionOf } from "./partition.ts";
import { createQueryService } from "./query-service.ts";
import { RawStream } from "./raw-stream.ts";
import type { Recall } from "./recall.ts";
import { createAdmit, createServe } from "./serve-call.ts";

const RETRY_MS = 1_000;

export interface Gateway extends Service {
  /** Where the doors listen, by their names. */
  readonly addresses: ReadonlyMap<string, string>;
}

/**
 * Takes records at the public doors and puts them into RAW; passes queries on to a store. Opens its ports at once and
 * refuses records until RAW is there.
 */
export function createGateway(
  config: GatewayConfig,
  runtime: ServiceRuntime,
  furtherDoors: readonly Ingestor[] = [],
): Gateway {
  const { log, status, meter, tap, signal } = runtime;
  const names = natsNames(config.natsPrefix);
  const raw = new RawStream(config, runtime);
  const acceptWatch = new AcceptWatch({ names, monitorUrls: config.natsMonitorUrls, log, signal });
  const commitWatch = new CommitWatch({
    ask: () => askCommitDurability(raw.connection, names.durability),
    log,
    signal,
  });
  const receiptDurability = (): DurabilityLevel => weaker(acceptWatch.report.level, commitWatch.level);
  const inFlight = new InFlightBytes(config.inFlightBytes, config.tenantInFlightBytes);
  const arriving = new InFlightBytes(config.inFlightBytes, config.tenantInFlightBytes);
  let batchesInFlight = 0;
  /** Once NATS is there, unless it is off. */
  let recall: Recall | undefined;
  meter.onCollect(() => {
    meter.set("chowhound.in_flight.size", inFlight.total);
    meter.set("chowhound.in_flight.batches", batchesInFlight);
  });
  const batcher = new Batcher({
    maxRecords: config.batchRecords,
    maxBytes: () => Math.min(config.batchBytes, raw.maxBatchBytes),
    lingerMs: config.lingerMs,
    partitionOf: (tenantId, record) => partitionOf(tenantId, record, config.partitions),
    acknowledged: () => raw.acknowledged,
    publish: async ({ partition, message, batchId, records, sampled, fingerprints }) => {
      batchesInFlight++;
      if (fingerprints !== undefined) recall?.sent(batchId, fingerprints);
      try {
        await raw.publish(partition, message, sampled);
        meter.batch(records, message.length);
      } finally {
        batchesInFlight--;
      }
    },
  });
  const addresses = new Map<string, string>();
  let refusal: "paused" | "shutting_down" | undefined;
  let keys: KeyRing | undefined;

  const assertNotShuttingDown = (): void => {
    if (refusal === "shutting_down")
      throw new CallError(refusal, "the gateway is shutting down; connect again", { retryDelayMs: RETRY_MS });
  };
  const assertOpen = (): void => {
    assertNotShuttingDown();
    if (refusal === "paused")
      throw new CallError(refusal, "the gateway has been paused; try again later", {
        retryDelayMs: RETRY_MS,
      });
    if (!raw.isReady)
      throw new CallError("not_ready", "the gateway is waiting for the mesh; try again in a moment", {
        retryDelayMs: RETRY_MS,
      });
  };
  const authenticate: Authenticator = (authorization) => keys?.authenticate(authorization);
  const serve = createServe({ authenticate, meter, log });
  const accept = createAccept({
    serve,
    assertOpen,
    inFlight,
    arriving,
    look: (tenantId, records) => recall?.look(tenantId, records),
    submit: (origin, records, fingerprints) => batcher.submit(origin, records, fingerprints),
    maxRecordBytes: () => recordBytesLimit(raw.maxPayloadBytes),
    durability: receiptDurability,
    meter,
    tap,
  });
  const query = createQueryService({
    serve,
    // Also while paused: reading takes nothing.
    assertOpen: assertNotShuttingDown,
    connection: () => raw.connection,
    subject: names.query,
  });
  const admit = createAdmit({ authenticate, meter });
  const doors: { ingestor: Ingestor; portVariable?: string }[] = [
    {
      ingestor: createGrpcIngestor({
        host: config.grpcHost,
        port: config.grpcPort,
        status,
        streamWindow: config.streamWindow,
        services: [query],
      }),
      portVariable: settings.grpcPort.env,
    },
    {
      ingestor: createHttpIngestor({
        host: config.httpHost,
        port: config.httpPort,
        corsOrigins: config.corsOrigins,
        services: [query],
        log,
      }),
      portVariable: settings.httpPort.env,
    },
    ...furtherDoors.map((ingestor) => ({ ingestor })),
  ];

  return {
    addresses,
    start: async () => {
      keys = openKeyRing(config.keysFile, log);
      for (const { ingestor, portVariable } of doors) {
        const { address } = await ingestor.start(accept, admit).catch((error: Error) => {
          const remedy = portVariable === undefined ? "" : `; choose another ${portVariable}`;
          throw new Error(`${error.message}${remedy}`, { cause: error });
        });
        addresses.set(ingestor.name, address);
        log.info({ door: ingestor.name, address }, "listening");
      }
      const nc = await raw.start();
      if (config.recallRecords > 0) recall = openRecall(nc, names, config.recallRecords, { meter, log });
      void commitWatch.run();
      await acceptWatch.start(nc);
    },
    pause: () => {
      refusal ??= "paused";
    },
    resume: () => {
      if (refusal === "paused") refusal = undefined;
    },
    drain: async () => {
      refusal = "shutting_down";
      await batcher.drain();
      await Promise.all(doors.map(({ ingestor }) => ingestor.stop()));
      keys?.close();
      await raw.close();
    },
    lag: async () => [],
    durability: async () => {
      const commit = await commitWatch.look();
      return { accept: acceptWatch.report, commit, receipt: receiptDurability() };
    },
  };
}
