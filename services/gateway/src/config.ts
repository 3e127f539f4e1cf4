import { natsSettings } from "@chowhound/shared/runtime/common-settings";
import {
  type ConfigOf,
  duration,
  integer,
  list,
  port,
  size,
  text,
  urls,
} from "@chowhound/shared/runtime/config";

const MIB = 1024 ** 2;

/** What the gateway can be told. Limits of records and calls are not settings: see docs/errors.md. */
export const settings = {
  ...natsSettings,
  natsMonitorUrls: urls("CHOWHOUND_NATS_MONITOR_URL", ["http:", "https:"], {
    doc: "the monitoring ports of all NATS servers, such as http://nats:8222; without them the gateway can't know whether an accepted record survives a power failure (docs/durability.md)",
    fallback: "",
    secret: true,
  }),
  keysFile: text("CHOWHOUND_KEYS_FILE", {
    doc: "the file with the producers' keys, made by create-key; read again when it changes",
  }),
  grpcHost: text("CHOWHOUND_GRPC_HOST", {
    doc: "address of the gRPC door (no TLS of its own: put a proxy in front where the network is not trusted)",
    fallback: "127.0.0.1",
  }),
  grpcPort: port("CHOWHOUND_GRPC_PORT", { doc: "port of the gRPC door", fallback: "50051" }),
  httpHost: text("CHOWHOUND_HTTP_HOST", {
    doc: "address of the HTTP door (Connect, gRPC-Web, JSON)",
    fallback: "127.0.0.1",
  }),
  httpPort: port("CHOWHOUND_HTTP_PORT", { doc: "port of the HTTP door", fallback: "8080" }),
  corsOrigins: list("CHOWHOUND_CORS_ORIGINS", {
    doc: "origins of web pages that may call the HTTP door; `*` for all",
    fallback: "*",
  }),
  partitions: integer("CHOWHOUND_PARTITIONS", 1, 256, {
    doc: "how many partitions records are spread over; the same for all gateways of a mesh",
    fallback: "1",
  }),
  batchRecords: integer("CHOWHOUND_BATCH_RECORDS", 1, 5_000, {
    doc: "the most new records in a batch; ones known to have landed count an eighth, and 5,000 are the most of all",
    fallback: "500",
  }),
  batchBytes: size("CHOWHOUND_BATCH_BYTES", 1024, 4 * MIB, {
    doc: "the size at which a batch is sent; a batch never exceeds half of what the NATS server takes",
    fallback: "512KiB",
  }),
  lingerMs: duration("CHOWHOUND_LINGER", 1, 1_000, {
    doc: "from one batch to the next that isn't full, unless as many calls wait as there lately were at once",
    fallback: "12ms",
  }),
  inFlightBytes: size("CHOWHOUND_IN_FLIGHT_BYTES", 8 * MIB, 16_384 * MIB, {
    doc: "bytes of records between arrival and acknowledgement, 512 more for each, of all tenants, beyond which calls are refused",
    fallback: "64MiB",
  }),
  tenantInFlightBytes: size("CHOWHOUND_TENANT_IN_FLIGHT_BYTES", 8 * MIB, 16_384 * MIB, {
    doc: "the same for each tenant: no tenant can use up the room of all",
    fallback: "24MiB",
  }),
  recallRecords: integer("CHOWHOUND_RECALL_RECORDS", 0, 200_000_000, {
    doc: "how many landed records are remembered, at 17 bytes of memory each, so that the same ones sent again go no further than the gateway; 0: none",
    fallback: "1000000",
  }),
  streamWindow: integer("CHOWHOUND_STREAM_WINDOW", 1, 1_000, {
    doc: "unanswered batches on one stream beyond which the gateway reads no further",
    fallback: "8",
  }),
};

export type GatewayConfig = ConfigOf<typeof settings>;
