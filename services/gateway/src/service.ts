import { CallError } from "@chowhound/shared/errors/call-error";
import { recordBytesLimit } from "@chowhound/shared/record/limits";
import type { Service, ServiceRuntime } from "@chowhound/shared/service/run-service";
import { createAccept, createAdmit } from "./accept.ts";
import { Batcher } from "./batcher.ts";
import { type GatewayConfig, settings } from "./config.ts";
import { createGrpcIngestor } from "./grpc-ingestor.ts";
import { createHttpIngestor } from "./http-ingestor.ts";
import { InFlightBytes } from "./in-flight-bytes.ts";
import type { Ingestor } from "./ingestor.ts";
import { type Authenticator, type KeyRing, openKeyRing } from "./keys.ts";
import { partitionOf } from "./partition.ts";
import { RawStream } from "./raw-stream.ts";

const RETRY_MS = 1_000;

export interface Gateway extends Service {
  /** Where the doors listen, by their names. */
  readonly addresses: ReadonlyMap<string, string>;
}

/** Takes records at the public doors and puts them into RAW. Opens its ports at once and refuses calls until RAW is there. */
export function createGateway(
  config: GatewayConfig,
  runtime: ServiceRuntime,
  furtherDoors: readonly Ingestor[] = [],
): Gateway {
  const { log, status, meter } = runtime;
  const raw = new RawStream(config, runtime);
  const batcher = new Batcher({
    maxRecords: config.batchRecords,
    maxBytes: () => Math.min(config.batchBytes, raw.maxBatchBytes),
    lingerMs: config.lingerMs,
    partitionOf: (tenantId, { sourceType, sourceId }) =>
      partitionOf(tenantId, sourceType, sourceId, config.partitions),
    publish: async (partition, batch, records, sampled) => {
      await raw.publish(partition, batch, sampled);
      meter.batch(records);
    },
  });
  const addresses = new Map<string, string>();
  let refusal: "paused" | "shutting_down" | undefined;
  let keys: KeyRing | undefined;

  const assertOpen = (): void => {
    if (refusal === "shutting_down")
      throw new CallError(refusal, "the gateway is shutting down; connect again", { retryDelayMs: RETRY_MS });
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
  const accept = createAccept({
    authenticate,
    assertOpen,
    inFlight: new InFlightBytes(config.inFlightBytes, config.tenantInFlightBytes),
    submit: (origin, records) => batcher.submit(origin, records),
    maxRecordBytes: () => recordBytesLimit(raw.maxPayloadBytes),
    meter,
    log,
  });
  const admit = createAdmit({ authenticate, meter });
  const doors: { ingestor: Ingestor; portVariable?: string }[] = [
    {
      ingestor: createGrpcIngestor({
        host: config.grpcHost,
        port: config.grpcPort,
        status,
        streamWindow: config.streamWindow,
      }),
      portVariable: settings.grpcPort.env,
    },
    {
      ingestor: createHttpIngestor({
        host: config.httpHost,
        port: config.httpPort,
        corsOrigins: config.corsOrigins,
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
      await raw.start();
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
  };
}
