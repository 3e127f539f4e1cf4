import { CallError } from "@chowhound/shared/errors/call-error";
import { recordBytesLimit } from "@chowhound/shared/record/limits";
import type { StreamCall } from "@chowhound/shared/rpc/server-stream";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { publishUntilAcknowledged } from "@chowhound/shared/stream/publish-batch";
import { maxRawMessageBytes, type NatsNames } from "@chowhound/shared/stream/topology";
import type { Meter } from "@chowhound/shared/telemetry/meter";
import { startSend } from "@chowhound/shared/telemetry/send-trace";
import type { CallContexts } from "@chowhound/shared/telemetry/trace-header";
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { DeadLetterArchive } from "./dead-letter-archive.ts";
import type { LetterFilter } from "./letter-selection.ts";
import { createReplayBatch, REPLAY_PARTITION } from "./replay-batch.ts";
import { type ReplayProgress, replayLetters } from "./replay-letters.ts";
import { traceReplay } from "./trace-replay.ts";

export interface ReplayDependencies {
  archive: DeadLetterArchive;
  /** Undefined while the store is not connected yet. */
  nc(): NatsConnection | undefined;
  names: NatsNames;
  meter: Meter;
  log: Logger;
  /** Aborted when the process ends. */
  signal: AbortSignal;
}

/** Sends open letters through the mesh again, for a call, and tells how far it is. @param limit the most letters to send */
export type Replay = (filter: LetterFilter, limit: number, call: StreamCall) => AsyncIterable<ReplayProgress>;

/**
 * Batches of one replay whose way is traced; those beyond have the replay's trace id and no spans. A replay is one call that
 * may send any number of batches, and a trace of a million spans shows nobody anything.
 */
const MAX_TRACED_BATCHES = 100;

/** Replays into RAW. A full stream slows a replay down; the end of the process or of the call breaks it off. */
export function createReplay({ archive, names, meter, log, ...process }: ReplayDependencies): Replay {
  return (filter, limit, call) =>
    traceReplay(call.metadata, (span) => {
      const nc = process.nc();
      if (nc === undefined) throw new CallError("not_ready", "the store is not connected to NATS yet");
      const js = jetstream(nc);
      const stream = names.stream("raw");
      const maxBytes = maxRawMessageBytes(nc);
      const signal = AbortSignal.any([process.signal, call.signal]);
      let batches = 0;
      return replayLetters(filter, {
        archive,
        limit,
        maxRecordBytes: recordBytesLimit(nc.info?.max_payload ?? maxBytes),
        // As a gateway does: room for what the enricher adds.
        maxBatchBytes: maxBytes / 2,
        publish: async (letters) => {
          const { bytes, calls, originalTraces } = createReplayBatch(letters, span?.context);
          const isTraced = span !== undefined && ++batches <= MAX_TRACED_BATCHES;
          span?.setAttributes({
            "chowhound.replay.batches": batches,
            "chowhound.replay.batches_traced": Math.min(batches, MAX_TRACED_BATCHES),
          });
          const parents: CallContexts = new Map(
            isTraced ? calls.map((_, index) => [index, span.context] as const) : [],
          );
          const trace = startSend(parents, stream, maxBytes - bytes.length, originalTraces);
          const subject = names.subject("raw", REPLAY_PARTITION);
          if (await publishUntilAcknowledged(js, subject, bytes, { log, meter, stream, signal, trace }))
            return;
          throw new CallError(
            "shutting_down",
            "the replay was broken off; begin it again, it goes on with what is open",
          );
        },
      });
    });
}
