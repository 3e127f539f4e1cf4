import type { Logger } from "@chowhound/shared/runtime/logger";
import { listen } from "@chowhound/shared/stream/listen";
import type { NatsNames } from "@chowhound/shared/stream/topology";
import type { Meter } from "@chowhound/shared/telemetry/meter";
import type { NatsConnection } from "@nats-io/transport-node";
import { createPipelinesQuestion } from "./pipelines-state.ts";
import { Recall } from "./recall.ts";

/** How long a call that may have been sent before is held up at most. */
const ANSWER_TIMEOUT_MS = 100;

/** A Recall that hears what the stores report, and asks them. @param capacity how many records it remembers */
export function openRecall(
  nc: NatsConnection,
  names: NatsNames,
  capacity: number,
  { meter, log }: { meter: Meter; log: Logger },
): Recall {
  const recall = new Recall({
    capacity,
    confirm: async (question) =>
      (await nc.request(names.confirm, question, { timeout: ANSWER_TIMEOUT_MS })).data,
    pipelinesState: createPipelinesQuestion(nc, names.pipelinesBucket, ANSWER_TIMEOUT_MS),
    onOutcome: (outcome) => meter.count("chowhound.recall.questions", 1, { "chowhound.outcome": outcome }),
  });
  listen(nc, names.commitNotices, { log, onMessage: ({ data }) => recall.hear(data) });
  meter.onCollect(() => {
    meter.set("chowhound.recall.size", recall.size);
    meter.set("chowhound.recall.capacity", capacity);
  });
  return recall;
}
