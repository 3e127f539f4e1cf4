import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type ConfirmRequest,
  ConfirmRequestSchema,
  ConfirmResponseSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { type Listening, listen } from "@chowhound/shared/stream/listen";
import type { NatsNames } from "@chowhound/shared/stream/topology";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import type { IngestionSink, ReportedBatch } from "./ingestion-writer.ts";

/** Replicas of the store share the questions. */
const QUEUE = "store";

/**
 * Answers the question of dedup and the gateways whether this is still the database that the notices spoke of. Every answer is
 * read from the sink after its question came in; where it can't be read, there is no answer, and nothing is dropped.
 */
export function answerConfirmations(
  nc: NatsConnection,
  names: NatsNames,
  sink: IngestionSink,
  log: Logger,
): Listening {
  const answer = async (message: Msg): Promise<void> => {
    const confirmed = await sink.confirm(reportedBatches(fromBinary(ConfirmRequestSchema, message.data)));
    const response = create(ConfirmResponseSchema, { ...confirmed, byGeneration: true });
    message.respond(toBinary(ConfirmResponseSchema, response));
  };
  return listen(nc, names.confirm, {
    queue: QUEUE,
    log,
    onMessage: (message) => {
      answer(message).catch((cause: Error) =>
        log.debug({ why: cause.message }, "no answer to a confirmation"),
      );
    },
  });
}

/** The batches of a question, each with the generation that reported it. */
export function reportedBatches({
  batchIds,
  generation,
  generations,
  generationOf,
}: ConfirmRequest): ReportedBatch[] {
  return batchIds.map((batchId, index) => ({
    batchId,
    // Software that doesn't tell may have been told of the batch under an earlier generation. Then it is not confirmed.
    generation: generationOf.length === 0 ? generation : (generations[generationOf[index] ?? -1] ?? ""),
  }));
}
