import { setDefaultHighWaterMark } from "node:stream";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  IngestionService,
  IngestResponseSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { LIMITS } from "@chowhound/shared/record/limits";
import { addHealth, bind, closeServer } from "@chowhound/shared/rpc/admin-server";
import { toGrpcError } from "@chowhound/shared/rpc/error-details";
import { grpcServiceDefinition } from "@chowhound/shared/rpc/grpc-service";
import { addReflection } from "@chowhound/shared/rpc/reflection";
import type { ServiceStatus } from "@chowhound/shared/runtime/service-status";
import { Server, type ServerDuplexStream, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { callHeaders, readRequest } from "./grpc-call.ts";
import { IngestStream } from "./grpc-ingest-stream.ts";
import type { Accept, Ingestor } from "./ingestor.ts";

export interface GrpcIngestorOptions {
  host: string;
  port: number;
  /** Health follows it. */
  status: ServiceStatus;
  /** Unanswered batches on one stream beyond which it isn't read. */
  streamWindow: number;
}

/** Room above the limit of a call, so that a call slightly too large is told the limit by us and not by the library. */
const SLACK_BYTES = 1024 ** 2;
const CONCURRENT_CALLS_PER_CONNECTION = 256;
const STOP_MS = 5_000;

/** The gRPC door: IngestionService on raw bytes, health and reflection. */
export function createGrpcIngestor(options: GrpcIngestorOptions): Ingestor {
  const server = new Server({
    "grpc.max_receive_message_length": LIMITS.callBytes + SLACK_BYTES,
    "grpc.max_concurrent_streams": CONCURRENT_CALLS_PER_CONNECTION,
    // A client that is gone without a goodbye is noticed.
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
  });
  const streams = new Set<IngestStream>();
  return {
    name: "grpc",
    start: async (accept) => {
      // grpc-js reads ahead as many messages as a stream of objects buffers: 16 by default, of up to 4 MiB each.
      setDefaultHighWaterMark(true, 1);
      server.addService(grpcServiceDefinition(IngestionService, { rawBytes: true }), {
        ingest: (call: ServerUnaryCall<Buffer, Uint8Array>, callback: sendUnaryData<Uint8Array>) => {
          ingest(call, accept).then(
            (response) => callback(null, response),
            (error: unknown) => callback(toGrpcError(error)),
          );
        },
        ingestStream: (call: ServerDuplexStream<Buffer, Uint8Array>) => {
          const stream = new IngestStream(call, accept, options.streamWindow);
          streams.add(stream);
          stream.serve().finally(() => streams.delete(stream));
        },
      });
      addHealth(server, options.status, [IngestionService.typeName]);
      addReflection(server, [IngestionService]);
      const port = await bind(server, options.host, options.port);
      return { address: `${options.host}:${port}` };
    },
    stop: async () => {
      for (const stream of streams) stream.stop();
      await closeServer(server, STOP_MS);
    },
  };
}

async function ingest(call: ServerUnaryCall<Buffer, Uint8Array>, accept: Accept): Promise<Uint8Array> {
  const { records } = readRequest(call.request);
  const receipt = await accept({ ...callHeaders(call.metadata), records });
  return toBinary(IngestResponseSchema, create(IngestResponseSchema, { receipt }));
}
