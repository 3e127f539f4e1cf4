import { create, toBinary } from "@bufbuild/protobuf";
import {
  type CommitDurability,
  CommitDurabilitySchema,
} from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { pause } from "@chowhound/shared/runtime/backoff";
import { createDurabilityLog } from "@chowhound/shared/runtime/durability-log";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { type Listening, listen } from "@chowhound/shared/stream/listen";
import type { NatsNames } from "@chowhound/shared/stream/topology";
import type { NatsConnection } from "@nats-io/transport-node";
import type { IngestionSink } from "./ingestion-writer.ts";

/** Replicas of the store share the questions. */
const QUEUE = "store";
const LOOK_AGAIN_MS = 30_000;

/** Reads from the sink what a commit is worth now; UNKNOWN where it doesn't tell. */
export async function readCommitDurability(sink: IngestionSink): Promise<CommitDurability> {
  const found = await (sink.durability?.() ?? Promise.reject(new Error("it doesn't tell"))).catch(
    (error: Error) => ({
      level: DurabilityLevel.UNKNOWN,
      warnings: [`what a commit in ${sink.name} survives is not known: ${error.message}`],
      settings: {},
    }),
  );
  return create(CommitDurabilitySchema, found);
}

/** Answers the gateways' question what a commit is worth. */
export function answerCommitDurability(
  nc: NatsConnection,
  names: NatsNames,
  sink: IngestionSink,
  log: Logger,
): Listening {
  return listen(nc, names.durability, {
    queue: QUEUE,
    log,
    onMessage: (message) => {
      void readCommitDurability(sink).then((report) =>
        message.respond(toBinary(CommitDurabilitySchema, report)),
      );
    },
  });
}

/** Logs what a commit is worth, at once and whenever that has changed, until `signal` is aborted. */
export async function watchCommitDurability(
  sink: IngestionSink,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<void> {
  const logChange = createDurabilityLog("committed records", log);
  do {
    const report = await readCommitDurability(sink);
    if (!signal.aborted) logChange(report);
  } while (await pause(LOOK_AGAIN_MS, signal));
}
