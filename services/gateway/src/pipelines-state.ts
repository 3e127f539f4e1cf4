import { create } from "@bufbuild/protobuf";
import {
  type PipelinesState,
  PipelinesStateSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { isWhole, streamEpoch } from "@chowhound/shared/stream/topology";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";

/** Asks NATS which state the pipelines are in now. Rejects where nobody knows for sure. @param bucket where they are kept */
export function createPipelinesQuestion(
  nc: NatsConnection,
  bucket: string,
  timeoutMs: number,
): () => Promise<PipelinesState> {
  return async () => {
    const manager = await jetstreamManager(nc, { checkAPI: false, timeout: timeoutMs });
    const info = await manager.streams.info(`KV_${bucket}`);
    // A server that is cut off, and takes itself for the leader, answers too.
    if (!isWhole(info)) throw new Error("not all copies of the pipelines are there");
    const revision = BigInt(info.state.last_seq);
    return create(PipelinesStateSchema, { epoch: streamEpoch(info), revision });
  };
}

/** Whether `a` and `b` are the same state. */
export function isSameState(a: PipelinesState | undefined, b: PipelinesState | undefined): boolean {
  return a !== undefined && b !== undefined && a.epoch === b.epoch && a.revision === b.revision;
}

/** Whether `a` is a state before `b`; of different epochs nobody knows. */
export function isEarlierState(a: PipelinesState, b: PipelinesState): boolean {
  return a.epoch === b.epoch && a.revision < b.revision;
}
