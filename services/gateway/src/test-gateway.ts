import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { anyUnpack, timestampNow } from "@bufbuild/protobuf/wkt";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import {
  IngestionService,
  IngestResponseSchema,
  type Receipt,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { ErrorInfoSchema, RetryInfoSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import { StatusSchema } from "@chowhound/shared/contracts/google/rpc/status";
import { grpcServiceDefinition } from "@chowhound/shared/rpc/grpc-service";
import { readConfig } from "@chowhound/shared/runtime/config";
import { createLogger, type Logger } from "@chowhound/shared/runtime/logger";
import { ServiceState, ServiceStatus } from "@chowhound/shared/runtime/service-status";
import { natsNames } from "@chowhound/shared/stream/topology";
import { Tap } from "@chowhound/shared/tap/tap";
import { Meter } from "@chowhound/shared/telemetry/meter";
import {
  type Client,
  type ClientDuplexStream,
  type ClientUnaryCall,
  credentials,
  Metadata,
  makeClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type GatewayConfig, settings } from "./config.ts";
import { createKey } from "./create-key.ts";
import { createGateway, type Gateway } from "./service.ts";

/** For tests: a gateway in this process on free ports, with keys for the tenants acme and umbrella. */
export interface TestGateway {
  gateway: Gateway;
  config: GatewayConfig;
  meter: Meter;
  tap: Tap;
  status: ServiceStatus;
  grpcAddress: string;
  httpUrl: string;
  acmeKey: string;
  umbrellaKey: string;
  /** Settles when the gateway has found NATS and its stream. */
  started: Promise<void>;
  stop(): Promise<void>;
}

export async function startTestGateway(
  natsUrl: string,
  overrides: Partial<GatewayConfig> = {},
  log: Logger = createLogger("gateway", "error"),
): Promise<TestGateway> {
  const directory = await mkdtemp(join(tmpdir(), "chowhound-gateway-"));
  const keysFile = join(directory, "keys.json");
  const acmeKey = await createKey({ tenant: "acme", file: keysFile });
  const umbrellaKey = await createKey({ tenant: "umbrella", file: keysFile });
  const env = {
    CHOWHOUND_NATS_URL: natsUrl,
    CHOWHOUND_NATS_PREFIX: `t${randomBytes(6).toString("hex")}`,
    CHOWHOUND_KEYS_FILE: keysFile,
    CHOWHOUND_GRPC_PORT: "0",
    CHOWHOUND_HTTP_PORT: "0",
    CHOWHOUND_STREAM_MAX_BYTES: "64MiB",
  };
  const config = { ...readConfig(settings, env), ...overrides };
  const status = new ServiceStatus();
  const meter = new Meter("gateway");
  const tap = new Tap();
  const givingUp = new AbortController();
  const gateway = createGateway(config, { log, status, meter, tap, signal: givingUp.signal });
  const started = gateway.start().then(() => {
    status.state = ServiceState.RUNNING;
  });
  started.catch(() => {});
  while (gateway.addresses.size < 2)
    await Promise.race([started, new Promise((wake) => setTimeout(wake, 5))]);
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    status.state = ServiceState.DRAINING;
    givingUp.abort();
    await gateway.drain();
    await rm(directory, { recursive: true, force: true });
  };
  return {
    gateway,
    config,
    meter,
    tap,
    status,
    grpcAddress: gateway.addresses.get("grpc")!,
    httpUrl: `http://${gateway.addresses.get("http")}`,
    acmeKey,
    umbrellaKey,
    started,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

export type RecordInit = MessageInitShape<typeof IngestionDataSchema>;

/** A good record. */
export function goodRecord(dataId: string, more: RecordInit = {}): RecordInit {
  return { sourceType: "host", sourceId: "web-1", dataId, data: "hello", updatedAt: timestampNow(), ...more };
}

/** An encoded IngestRequest; a record may be given as bytes, good or bad. */
export function encodeRequest(records: readonly (RecordInit | Uint8Array)[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const record of records) {
    const bytes =
      record instanceof Uint8Array
        ? record
        : toBinary(IngestionDataSchema, create(IngestionDataSchema, record));
    writer.tag(1, WireType.LengthDelimited).bytes(bytes);
  }
  return writer.finish();
}

export interface GrpcClient extends Client {
  ingest(
    request: Uint8Array,
    metadata: Metadata,
    callback: (error: ServiceError | null, response: Uint8Array) => void,
  ): ClientUnaryCall;
  ingestStream(metadata: Metadata): ClientDuplexStream<Uint8Array, Uint8Array>;
}

/** A grpc-js client of IngestionService that speaks raw bytes. */
export function grpcClient(address: string): GrpcClient {
  const definition = grpcServiceDefinition(IngestionService, { rawBytes: true });
  const Constructor = makeClientConstructor(definition, "IngestionService");
  return new Constructor(address, credentials.createInsecure()) as unknown as GrpcClient;
}

/** One unary call. Rejects with grpc-js's ServiceError. */
export function ingest(client: GrpcClient, metadata: Metadata, request: Uint8Array): Promise<Receipt> {
  return new Promise((resolve, reject) => {
    client.ingest(request, metadata, (error, response) =>
      error === null ? resolve(fromBinary(IngestResponseSchema, response).receipt!) : reject(error),
    );
  });
}

/** What a failed call said: code, reason and, where it is given, the wait in milliseconds. */
export function describeError(error: unknown) {
  const { code, details, metadata } = error as ServiceError;
  const [encoded] = metadata.get("grpc-status-details-bin");
  const found = encoded === undefined ? [] : fromBinary(StatusSchema, encoded as Buffer).details;
  const retry = found.map((any) => anyUnpack(any, RetryInfoSchema)).find((info) => info !== undefined);
  return {
    code,
    message: details,
    reason: found.map((any) => anyUnpack(any, ErrorInfoSchema)).find((info) => info !== undefined)?.reason,
    retryMs:
      retry?.retryDelay === undefined
        ? undefined
        : Number(retry.retryDelay.seconds) * 1000 + retry.retryDelay.nanos / 1e6,
  };
}

/** The described error of a promise that must reject. */
export async function failure(call: Promise<unknown>): Promise<ReturnType<typeof describeError>> {
  return await call.then(
    () => {
      throw new Error("the call succeeded");
    },
    (error: unknown) => describeError(error),
  );
}

export function bearer(key: string, more: Record<string, string> = {}): Metadata {
  return Metadata.fromHttp2Headers({ authorization: `Bearer ${key}`, ...more });
}

/** All batches in RAW, in their order. */
export async function readRaw(config: GatewayConfig): Promise<RecordBatch[]> {
  const nc = await connect({ servers: new URL(config.natsUrls[0]!).host });
  try {
    const jsm = await jetstreamManager(nc);
    const stream = natsNames(config.natsPrefix).stream("raw");
    const { state } = await jsm.streams.info(stream);
    const batches: RecordBatch[] = [];
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await jsm.streams.getMessage(stream, { seq });
      const decoded = decodeBatch(message!.data);
      if (decoded.kind !== "batch") throw new Error(`message ${seq} is ${decoded.kind}`);
      batches.push(decoded.batch);
    }
    return batches;
  } finally {
    await nc.close();
  }
}
