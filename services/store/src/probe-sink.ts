import { pause } from "@chowhound/shared/runtime/backoff";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { Dependency } from "@chowhound/shared/runtime/service-status";
import type { IngestionSink } from "./ingestion-writer.ts";

const INTERVAL_MS = 500;

/** Keeps health true: asks the sink twice a second whether it is there, until `signal` is aborted. */
export async function probeSink(
  sink: IngestionSink,
  dependency: Dependency,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<void> {
  let isUp = true;
  while (await pause(INTERVAL_MS, signal)) {
    const why = await sink.confirm([]).then(
      () => undefined,
      (error: Error) => error.message,
    );
    if (why === undefined) dependency.up();
    else dependency.down(why);
    if (isUp !== (why === undefined))
      log.warn({ sink: sink.name, why }, why === undefined ? "the sink is back" : "lost the sink");
    isUp = why === undefined;
  }
}
