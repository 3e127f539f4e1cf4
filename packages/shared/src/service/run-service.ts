import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DurabilitySchema } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import packageJson from "@chowhound/shared/package.json" with { type: "json" };
import { type AdminServer, type ExtraService, startAdminServer } from "../rpc/admin-server.ts";
import { createTapService } from "../rpc/tap-service.ts";
import { processSettings } from "../runtime/common-settings.ts";
import { ConfigError, type ConfigOf, configTable, readConfig, type Settings } from "../runtime/config.ts";
import { setHeapPolicy } from "../runtime/heap-policy.ts";
import { keepByteOrderMarks } from "../runtime/keep-byte-order-marks.ts";
import { createLogger, type Logger } from "../runtime/logger.ts";
import { ServiceState, ServiceStatus } from "../runtime/service-status.ts";
import type { ConsumerLag } from "../stream/stage-consumer.ts";
import { Tap } from "../tap/tap.ts";
import { Meter } from "../telemetry/meter.ts";
import type { ServiceName } from "../telemetry/metric-registry.ts";
import { startTelemetry } from "../telemetry/start-telemetry.ts";
import { showProcess } from "./process-metrics.ts";

type ServiceDurability = MessageInitShape<typeof DurabilitySchema>;

/** What a service gets from its process. */
export interface ServiceRuntime {
  log: Logger;
  status: ServiceStatus;
  meter: Meter;
  /** To show what passes. */
  tap: Tap;
  /** Aborted when the process has to give up: waiting for dependencies ends. */
  signal: AbortSignal;
}

/** A service, as its process drives it: start → (pause, resume) → drain. */
export interface Service {
  /** Waits for what the service needs, then takes work. May take for ever; rejects when the signal is aborted. */
  start(): Promise<void>;
  /** Stops taking new work. */
  pause(): void;
  resume(): void;
  /** Stops taking work, finishes what is in flight, closes connections. Called once, also before `start` has ended. */
  drain(): Promise<void>;
  lag(): Promise<ConsumerLag[]>;
  /** What its acknowledgements or commits are worth, where it gives any. Doesn't reject. */
  durability?(): Promise<ServiceDurability>;
  /** Further gRPC services for the admin port. */
  adminServices?: readonly ExtraService[];
}

export interface ServiceDefinition<S extends Settings> {
  name: ServiceName;
  settings: S;
  create(config: ConfigOf<S>, runtime: ServiceRuntime): Service;
}

const EXIT_DRAIN_TIMEOUT = 1;
const EXIT_CONFIG = 78;

/**
 * The life of every service process: configuration → logger → telemetry → admin port → start → SIGTERM, SIGINT or the Drain call →
 * drain under one deadline → exit code 0. Code 78: invalid configuration. Code 1: anything else that went wrong.
 */
export async function runService<S extends Settings>(definition: ServiceDefinition<S>): Promise<void> {
  if (process.argv.includes("--help")) {
    process.stdout.write(
      `chowhound ${definition.name}: configured by environment variables\n\n${configTable({ ...processSettings, ...definition.settings })}\n`,
    );
    return;
  }
  setHeapPolicy();
  keepByteOrderMarks();
  const config = readConfigOrExit(definition.settings);
  const log = createLogger(definition.name, config.logLevel);
  const identity = {
    service: definition.name,
    version: packageJson.version,
    instanceId: randomUUID(),
  };
  const meter = new Meter(definition.name, { maxTenants: config.metricsTenants });
  const telemetry = await startTelemetry(config, { identity, meter, log }).catch((error: Error) => {
    log.fatal(error.message);
    process.exit(1);
  });
  const status = new ServiceStatus();
  const tap = new Tap();
  const givingUp = new AbortController();
  const service = definition.create(config, { log, status, meter, tap, signal: givingUp.signal });
  showProcess(meter, { status, lag: () => service.lag() });

  let isStarted = false;
  let draining: Promise<void> | undefined;
  let admin: AdminServer | undefined;
  const drain = (why: string): void => {
    draining ??= drainAndExit(why);
  };
  const drainAndExit = async (why: string): Promise<void> => {
    log.info({ why, timeoutMs: config.drainTimeoutMs }, "draining");
    status.state = ServiceState.DRAINING;
    setTimeout(() => {
      log.error("what is in flight did not finish in time; it will be delivered again");
      process.exit(EXIT_DRAIN_TIMEOUT);
    }, config.drainTimeoutMs).unref();
    givingUp.abort();
    try {
      await service.drain();
      tap.close();
      await admin?.close();
      await telemetry.stop();
    } catch (error) {
      log.error({ err: error }, "draining failed");
      process.exit(1);
    }
    log.info("drained");
    process.exit(0);
  };
  const die = (error: unknown, what = "unexpected error"): void => {
    log.fatal({ err: error }, what);
    process.exit(1);
  };
  // Of a log that nobody reads any more; see logger.ts.
  process.stderr.on("error", () => {});
  process.on("SIGTERM", () => drain("SIGTERM"));
  process.on("SIGINT", () => drain("SIGINT"));
  process.on("uncaughtException", (error) => die(error));
  process.on("unhandledRejection", (error) => die(error));

  admin = await startAdminServer(
    {
      ...identity,
      status,
      meter,
      log,
      lag: () => service.lag(),
      durability: async () => service.durability?.(),
      pause: () => {
        service.pause();
        status.state = ServiceState.PAUSED;
      },
      resume: () => {
        service.resume();
        status.state = isStarted ? ServiceState.RUNNING : ServiceState.STARTING;
      },
      drain: () => drain("Drain call"),
    },
    {
      host: config.adminHost,
      port: config.adminPort,
      extras: [createTapService(tap), ...(service.adminServices ?? [])],
    },
  ).catch((error: Error) => {
    log.fatal(`${error.message}; choose another CHOWHOUND_ADMIN_PORT`);
    process.exit(1);
  });
  log.info({ adminPort: admin.port, version: packageJson.version }, "starting");
  try {
    await service.start();
  } catch (error) {
    // Draining ends the wait for dependencies; that is not a failure of its own.
    if (draining === undefined) die(error, `cannot start: ${(error as Error).message}`);
    return;
  }
  isStarted = true;
  if (status.state === ServiceState.STARTING) status.state = ServiceState.RUNNING;
  log.info("running");
}

function readConfigOrExit<S extends Settings>(settings: S): ConfigOf<S> & ConfigOf<typeof processSettings> {
  try {
    return readConfig({ ...processSettings, ...settings }, process.env) as ConfigOf<S> &
      ConfigOf<typeof processSettings>;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(EXIT_CONFIG);
  }
}
