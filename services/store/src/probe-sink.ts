import { pause } from "@chowhound/shared/runtime/backoff";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { IngestionSink } from "./ingestion-writer.ts";
import type { SinkHealth } from "./sink-health.ts";

const INTERVAL_MS = 500;

/** Keeps health true: asks the sink twice a second whether it is there, until `signal` is aborted. */
export async function probeSink(
  sink: IngestionSink,
  health: SinkHealth,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<void> {
  let isUp = true;
  while (await pause(INTERVAL_MS, signal)) {
    const why = await sink.confirm([]).then(
      () => undefined,
      (error: Error) => error.message,
    );
    health.probed(why);
    if (isUp !== (why === undefined))
      log.warn({ sink: sink.name, why }, why === undefined ? "the sink is back" : "lost the sink");
    isUp = why === undefined;
  }
}
