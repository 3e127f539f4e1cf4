import type { Message } from "@bufbuild/protobuf";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { LIMITS } from "@chowhound/shared/record/limits";
import { addHealth, bind, closeServer } from "@chowhound/shared/rpc/admin-server";
import { toGrpcError } from "@chowhound/shared/rpc/error-details";
import { grpcServiceDefinition } from "@chowhound/shared/rpc/grpc-service";
import { addReflection } from "@chowhound/shared/rpc/reflection";
import type { ServiceStatus } from "@chowhound/shared/runtime/service-status";
import { rpcMethod } from "@chowhound/shared/telemetry/server-span";
import {
  Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { readBinaryMessage, readBinaryRequest } from "./binary-request.ts";
import type { DoorService } from "./door-service.ts";
import { encodeResponse } from "./encode-receipt.ts";
import { callHeaders } from "./grpc-call.ts";
import { guard } from "./grpc-guard.ts";
import { IngestStream } from "./grpc-ingest-stream.ts";
import type { Accept, Ingestor } from "./ingestor.ts";
import type { Received } from "./received.ts";

export interface GrpcIngestorOptions {
  host: string;
  port: number;
  /** Health follows it. */
  status: ServiceStatus;
  /** Unanswered batches on one stream beyond which it isn't read. */
  streamWindow: number;
  /** Served beside IngestionService. */
  services: readonly DoorService[];
}

/** Room above the limit of a call, so that a call slightly too large is told the limit by us and not by the library. */
const SLACK_BYTES = 1024 ** 2;
const SERVER_OPTIONS = {
  "grpc.max_receive_message_length": LIMITS.callBytes + SLACK_BYTES,
  "grpc.max_concurrent_streams": 256,
  // Bookkeeping of every call, for a service that is not served.
  "grpc.enable_channelz": 0,
  // A client that is gone without a goodbye is noticed.
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
};
const STOP_MS = 5_000;
const RPC = rpcMethod("grpc", IngestionService.method.ingest);

/** The gRPC door: IngestionService and further services on raw bytes, health and reflection. */
export function createGrpcIngestor(options: GrpcIngestorOptions): Ingestor {
  let server: Server | undefined;
  const streams = new Set<IngestStream>();
  const descriptors = [IngestionService, ...options.services.map(({ service }) => service)];
  const names = descriptors.map(({ typeName }) => typeName);
  return {
    name: "grpc",
    start: async (accept, admit) => {
      server = new Server({
        ...SERVER_OPTIONS,
        interceptors: [guard(names, admit)],
      });
      server.addService(grpcServiceDefinition(IngestionService, { rawBytes: true }), {
        ingest: (call: ServerUnaryCall<Received, Uint8Array>, callback: sendUnaryData<Uint8Array>) => {
          ingest(call, accept).then(
            (response) => callback(null, response),
            (error: unknown) => callback(toGrpcError(error)),
          );
        },
        ingestStream: (call: ServerDuplexStream<Received, Uint8Array>) => {
          const stream = new IngestStream(call, accept, options.streamWindow);
          streams.add(stream);
          stream.serve().finally(() => streams.delete(stream));
        },
      });
      for (const served of options.services)
        server.addService(grpcServiceDefinition(served.service, { rawBytes: true }), handlersOf(served));
      addHealth(server, options.status, names);
      addReflection(server, descriptors);
      const port = await bind(server, options.host, options.port);
      return { address: `${options.host}:${port}` };
    },
    stop: async () => {
      for (const stream of streams) stream.stop();
      if (server !== undefined) await closeServer(server, STOP_MS);
    },
  };
}

async function ingest(call: ServerUnaryCall<Received, Uint8Array>, accept: Accept): Promise<Uint8Array> {
  const receipt = await accept({
    ...callHeaders(call.metadata),
    rpc: RPC,
    records: () => readBinaryRequest(call.request.take()).records,
  });
  return encodeResponse(receipt);
}

function handlersOf({ methods, answer }: DoorService): UntypedServiceImplementation {
  const handlers: UntypedServiceImplementation = {};
  for (const method of methods) {
    const rpc = rpcMethod("grpc", method);
    handlers[method.localName] = (
      call: ServerUnaryCall<Received, Uint8Array>,
      callback: sendUnaryData<Uint8Array>,
    ) => {
      const request = (): Message => readBinaryMessage(method.input, call.request.take());
      answer({ ...callHeaders(call.metadata), rpc, method, request }).then(
        (response) => callback(null, response),
        (error: unknown) => callback(toGrpcError(error)),
      );
    };
  }
  return handlers;
}
