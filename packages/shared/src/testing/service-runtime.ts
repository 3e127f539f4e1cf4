import { pino } from "pino";
import { Meter } from "../runtime/meter.ts";
import { ServiceState, ServiceStatus } from "../runtime/service-status.ts";
import type { Service, ServiceRuntime } from "../service/run-service.ts";

/** A service that runs in the test's own process. */
export interface RunningService extends ServiceRuntime {
  service: Service;
  /** What it has logged, from level info on. */
  logged: Record<string, unknown>[];
  /** A named counter of the meter; 0 where it never counted. */
  counter(name: string): number;
  /** Drains as SIGTERM does. May be called twice. */
  drain(): Promise<void>;
}

/** Creates a service and starts it as `runService` would. Resolves once it takes work. */
export async function startService(create: (runtime: ServiceRuntime) => Service): Promise<RunningService> {
  const running = prepareService(create);
  await running.service.start();
  running.status.state = ServiceState.RUNNING;
  return running;
}

/** Creates a service and leaves it to the test to start it. */
export function prepareService(create: (runtime: ServiceRuntime) => Service): RunningService {
  const logged: Record<string, unknown>[] = [];
  const log = pino(
    { base: null, messageKey: "message", formatters: { level: (label) => ({ level: label }) } },
    { write: (line: string) => void logged.push(JSON.parse(line)) },
  );
  const status = new ServiceStatus();
  const meter = new Meter();
  const givingUp = new AbortController();
  const runtime = { log, status, meter, signal: givingUp.signal };
  const service = create(runtime);
  let drained: Promise<void> | undefined;
  return {
    ...runtime,
    service,
    logged,
    counter: (name) => meter.counters.get(name) ?? 0,
    drain: () => {
      status.state = ServiceState.DRAINING;
      givingUp.abort();
      drained ??= service.drain();
      return drained;
    },
  };
}
