import type { DescService, MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  AdminService,
  type DurabilitySchema,
  LogLevel,
} from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { CallError } from "../errors/call-error.ts";
import type { Logger, LogLevelName } from "../runtime/logger.ts";
import { ServiceState, type ServiceStatus } from "../runtime/service-status.ts";
import type { ConsumerLag } from "../stream/stage-consumer.ts";
import type { Meter } from "../telemetry/meter.ts";
import { TENANT } from "../telemetry/metric-registry.ts";
import { grpcServiceDefinition, unaryHandlers } from "./grpc-service.ts";
import { addReflection } from "./reflection.ts";

/** What an admin port offers of its service. */
export interface AdminTarget {
  service: string;
  version: string;
  /** Identifies the process among the replicas of its service. */
  instanceId: string;
  status: ServiceStatus;
  meter: Meter;
  log: Logger;
  /** Current lag of the service's consumers; may fail while NATS is away. */
  lag(): Promise<ConsumerLag[]>;
  /** What an acknowledgement or a commit of the service is worth; undefined where it gives none. Doesn't reject. */
  durability?(): Promise<MessageInitShape<typeof DurabilitySchema> | undefined>;
  pause(): void;
  resume(): void;
  /** Begins to drain; the process ends when it is done. */
  drain(): void;
}

/** A further service on an admin port. */
export interface ExtraService {
  service: DescService;
  handlers: UntypedServiceImplementation;
}

const LEVELS: Record<LogLevelName, LogLevel> = {
  error: LogLevel.ERROR,
  warn: LogLevel.WARN,
  info: LogLevel.INFO,
  debug: LogLevel.DEBUG,
};

export interface AdminServer {
  /** The port it listens on. */
  port: number;
  close(): Promise<void>;
}

/** Serves health, reflection, AdminService and `extras` on a port of its own. Rejects where the port is taken. */
export async function startAdminServer(
  target: AdminTarget,
  options: { host: string; port: number; extras?: readonly ExtraService[] },
): Promise<AdminServer> {
  // A client that is gone without a goodbye is noticed: it may hold a tap.
  const server = new Server({ "grpc.keepalive_time_ms": 60_000, "grpc.keepalive_timeout_ms": 20_000 });
  addHealth(server, target.status);
  const extras = options.extras ?? [];
  server.addService(grpcServiceDefinition(AdminService), adminHandlers(target));
  for (const { service, handlers } of extras) server.addService(grpcServiceDefinition(service), handlers);
  addReflection(server, [AdminService, ...extras.map((extra) => extra.service)]);
  const port = await bind(server, options.host, options.port);
  return { port, close: () => closeServer(server, 1_000) };
}

/**
 * grpc.health.v1 that follows the status: "" and `services` for the whole, and one named service per dependency.
 */
export function addHealth(server: Server, status: ServiceStatus, services: readonly string[] = []): void {
  const health = new HealthImplementation();
  const update = (): void => {
    const overall = status.isServing ? "SERVING" : "NOT_SERVING";
    for (const name of ["", ...services]) health.setStatus(name, overall);
    for (const { name, isUp } of status.dependencies)
      health.setStatus(name, isUp ? "SERVING" : "NOT_SERVING");
  };
  update();
  status.onChange(update);
  health.addToServer(server);
}

/** Listens; returns the port. Rejects where the port is taken. */
export function bind(server: Server, host: string, port: number): Promise<number> {
  const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error === null
        ? resolve(bound)
        : reject(new Error(`cannot listen on ${address}: ${error.message}`, { cause: error })),
    );
  });
}

/** Ends a server: lets calls finish until the deadline, then cuts them. */
export async function closeServer(server: Server, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    new Promise<void>((resolve) => server.tryShutdown(() => resolve())),
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs);
    }),
  ]);
  clearTimeout(timer);
  server.forceShutdown();
}

/** The meter's counters, summed up over tenants, as "name{attribute=value,…}"; what never happened is left out. */
function countersOf({ metrics }: Meter): Record<string, bigint> {
  const counters: Record<string, bigint> = {};
  for (const { name, definition, series } of metrics) {
    // Its unit in braces, it counts in whole numbers.
    if (definition.kind !== "counter" || !definition.unit.startsWith("{")) continue;
    for (const { attributes, value } of series) {
      if (value === 0) continue;
      const shown = Object.entries(attributes).filter(([key]) => key !== TENANT);
      const labels = shown.map(([key, text]) => `${key}=${text}`).join();
      const key = labels === "" ? name : `${name}{${labels}}`;
      counters[key] = (counters[key] ?? 0n) + BigInt(value as number);
    }
  }
  return counters;
}

function adminHandlers(target: AdminTarget): UntypedServiceImplementation {
  const { status, meter, log } = target;
  const moveTo = (state: ServiceState, action: () => void): { state: ServiceState } => {
    if (status.state === ServiceState.DRAINING)
      throw new CallError("shutting_down", "the process is draining");
    action();
    return { state: state };
  };
  return unaryHandlers(
    AdminService,
    {
      getStatus: async () => ({
        service: target.service,
        version: target.version,
        instanceId: target.instanceId,
        state: status.state,
        waitingFor: status.waitingFor,
        startedAt: timestampFromDate(status.startedAt),
        uptime: { seconds: BigInt(Math.floor((Date.now() - status.startedAt.getTime()) / 1000)) },
        logLevel: LEVELS[log.level as LogLevelName] ?? LogLevel.UNSPECIFIED,
        throughput: {
          records: BigInt(meter.records),
          batches: BigInt(meter.batches),
          recordsPerSecond: meter.recordsPerSecond,
        },
        lag: (await target.lag().catch(() => [])).map((lag) => ({
          stream: lag.stream,
          consumer: lag.consumer,
          pendingBatches: BigInt(lag.pendingBatches),
          unacknowledgedBatches: BigInt(lag.unacknowledgedBatches),
          pendingRecordsEstimate: BigInt(lag.pendingRecordsEstimate),
          ...(lag.oldestAgeMs !== undefined && { oldestAge: durationFromMs(lag.oldestAgeMs) }),
        })),
        counters: countersOf(meter),
        durability: await target.durability?.(),
      }),
      pause: async () => moveTo(ServiceState.PAUSED, target.pause),
      resume: async () => {
        moveTo(ServiceState.RUNNING, target.resume);
        return { state: status.state };
      },
      drain: async () => {
        target.drain();
        return { state: ServiceState.DRAINING };
      },
      setLogLevel: async ({ level }) => {
        const name = (Object.keys(LEVELS) as LogLevelName[]).find((candidate) => LEVELS[candidate] === level);
        if (name === undefined)
          throw new CallError("invalid_log_level", "level must be ERROR, WARN, INFO or DEBUG", {
            field: "level",
          });
        const previousLevel = LEVELS[log.level as LogLevelName];
        log.level = name;
        return { previousLevel };
      },
    },
    (method, error) => log.error({ err: error, method }, "admin call failed"),
  );
}
