import type { Logger } from "@chowhound/shared/runtime/logger";
import { probe } from "@chowhound/shared/runtime/probe";
import type { IngestionSink } from "./ingestion-writer.ts";
import type { SinkHealth } from "./sink-health.ts";

/** Keeps health true: asks the sink again and again whether it is there, until `signal` is aborted. */
export async function probeSink(
  sink: IngestionSink,
  health: SinkHealth,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<void> {
  let isUp = true;
  const report = (why: string | undefined): void => {
    health.probed(why);
    if (isUp !== (why === undefined))
      log.warn({ sink: sink.name, why }, why === undefined ? "the sink is back" : "lost the sink");
    isUp = why === undefined;
  };
  await probe(() => sink.confirm([]), report, signal);
}
