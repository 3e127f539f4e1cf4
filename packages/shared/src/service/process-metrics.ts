import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { ServiceState, type ServiceStatus } from "../runtime/service-status.ts";
import type { ConsumerLag } from "../stream/stage-consumer.ts";
import type { Meter } from "../telemetry/meter.ts";

const DELAY_RESOLUTION_MS = 20;
const NS = 1e9;
const US = 1e6;
const STATES = {
  starting: ServiceState.STARTING,
  running: ServiceState.RUNNING,
  paused: ServiceState.PAUSED,
  draining: ServiceState.DRAINING,
} as const;

/**
 * Has the meter tell, at each collection, of what is not counted along the way: the process, its state and
 * dependencies, and how far behind its consumers are.
 */
export function showProcess(
  meter: Meter,
  { status, lag }: { status: ServiceStatus; lag: () => Promise<ConsumerLag[]> },
): void {
  showEventLoop(meter);
  meter.onCollect(() => {
    const { user, system } = process.cpuUsage();
    meter.set("process.cpu.time", user / US, { "cpu.mode": "user" });
    meter.set("process.cpu.time", system / US, { "cpu.mode": "system" });
    meter.set("process.memory.usage", process.memoryUsage.rss());
    meter.set("process.start_time", performance.timeOrigin / 1000);
    for (const [name, state] of Object.entries(STATES))
      meter.set("chowhound.service.state", status.state === state ? 1 : 0, {
        "chowhound.state": name as keyof typeof STATES,
      });
    for (const { name, isUp } of status.dependencies)
      meter.set("chowhound.dependency.up", isUp ? 1 : 0, { "chowhound.dependency": name });
  });
  meter.onCollect(async () => showLag(meter, await lag().catch(() => [])));
}

/** Its cost, a timer, begins with the first collection. */
function showEventLoop(meter: Meter): void {
  let delay: ReturnType<typeof monitorEventLoopDelay> | undefined;
  let before = performance.eventLoopUtilization();
  meter.onCollect(() => {
    if (delay === undefined) {
      delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
      delay.enable();
    }
    // The histogram holds the time between two looks, of which the delay is what it took longer; 0 while it is empty.
    const seconds = (ns: number): number =>
      delay!.count === 0 ? 0 : Math.max(0, ns / NS - DELAY_RESOLUTION_MS / 1000);
    meter.set("nodejs.eventloop.delay.p50", seconds(delay.percentile(50)));
    meter.set("nodejs.eventloop.delay.p99", seconds(delay.percentile(99)));
    meter.set("nodejs.eventloop.delay.max", seconds(delay.max));
    delay.reset();
    const now = performance.eventLoopUtilization();
    meter.set("nodejs.eventloop.utilization", performance.eventLoopUtilization(now, before).utilization);
    before = now;
  });
}

/** Unknown while NATS is away: better no figures than old ones. */
function showLag(meter: Meter, lags: readonly ConsumerLag[]): void {
  const names = [
    "chowhound.lag.batches",
    "chowhound.lag.records",
    "chowhound.lag.unacknowledged",
    "chowhound.lag.age",
    "chowhound.stream.fill",
  ] as const;
  for (const name of names) meter.clear(name);
  for (const lag of lags) {
    const attributes = {
      "messaging.destination.name": lag.stream,
      "messaging.consumer.group.name": lag.stage,
    };
    meter.set("chowhound.lag.batches", lag.pendingBatches, attributes);
    meter.set("chowhound.lag.records", lag.pendingRecordsEstimate, attributes);
    meter.set("chowhound.lag.unacknowledged", lag.unacknowledgedBatches, attributes);
    meter.set("chowhound.lag.age", (lag.oldestAgeMs ?? 0) / 1000, attributes);
    meter.set("chowhound.stream.fill", lag.streamFill, { "messaging.destination.name": lag.stream });
  }
}
