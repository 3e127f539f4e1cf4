import { pino } from "pino";
import { ServiceState, ServiceStatus } from "../runtime/service-status.ts";
import type { Service, ServiceRuntime } from "../service/run-service.ts";
import { Tap } from "../tap/tap.ts";
import { Meter } from "../telemetry/meter.ts";
import type { ServiceName } from "../telemetry/metric-registry.ts";

/** A service that runs in the test's own process. */
export interface RunningService extends ServiceRuntime {
  service: Service;
  /** What it has logged, from level info on. */
  logged: Record<string, unknown>[];
  /** Drains as SIGTERM does. May be called twice. */
  drain(): Promise<void>;
}

/** Creates a service and starts it as `runService` would. Resolves once it takes work. */
export async function startService(
  name: ServiceName,
  create: (runtime: ServiceRuntime) => Service,
): Promise<RunningService> {
  const running = prepareService(name, create);
  await running.service.start();
  running.status.state = ServiceState.RUNNING;
  return running;
}

/** Creates a service and leaves it to the test to start it. */
export function prepareService(
  name: ServiceName,
  create: (runtime: ServiceRuntime) => Service,
): RunningService {
  const logged: Record<string, unknown>[] = [];
  const log = pino(
    { base: null, messageKey: "message", formatters: { level: (label) => ({ level: label }) } },
    { write: (line: string) => void logged.push(JSON.parse(line)) },
  );
  const status = new ServiceStatus();
  const meter = new Meter(name);
  const givingUp = new AbortController();
  const tap = new Tap();
  const runtime = { log, status, meter, tap, signal: givingUp.signal };
  const service = create(runtime);
  let drained: Promise<void> | undefined;
  return {
    ...runtime,
    service,
    logged,
    drain: () => {
      status.state = ServiceState.DRAINING;
      givingUp.abort();
      drained ??= service.drain();
      return drained;
    },
  };
}
