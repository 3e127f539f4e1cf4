import { pause } from "@chowhound/shared/runtime/backoff";
import {
  isWhole,
  type NatsNames,
  STREAMS,
  type StreamRole,
  streamEpoch,
} from "@chowhound/shared/stream/topology";
import {
  type JetStreamManager,
  jetstreamManager,
  type StreamInfo,
  type StreamState,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { RawNumbers } from "./ledger.ts";

/** What the barrier waits for at the moment. */
export interface Draining {
  stream: string;
  /** May be more than there are: messages between them may have gone. */
  batchesLeft: bigint;
}

/** What the barrier has waited for in vain. */
export interface Stall extends Draining {
  oldestAgeMs?: number;
  consumer?: { name: string; pending: number; unacknowledged: number };
  why: string;
}

export type BarrierResult = { mark: RawNumbers; stall?: undefined } | { mark?: RawNumbers; stall: Stall };

export interface BarrierOptions {
  nc: NatsConnection;
  names: NatsNames;
  timeoutMs: number;
  signal: AbortSignal;
}

/** Who works a stream off. */
const STAGE_OF: Record<StreamRole, string> = { raw: "enricher", enriched: "dedup", unique: "store" };
const LOOK_MS = 100;

/**
 * Notes RAW's last number and waits until all up to it has left RAW; then what ENRICHED held by then has left that, and
 * UNIQUE in the same way. A message leaves a stream when its stage has passed it on and acknowledged it, and UNIQUE when it
 * is booked: so all that RAW had given out is booked then, or lost. What comes meanwhile doesn't matter. Consumers' ack
 * floors are not asked: after a crash they can be wrong. Nor is a stream believed of which a copy is away: a server that is
 * cut off from the others tells of another time.
 */
export async function* drainMesh(options: BarrierOptions): AsyncGenerator<Draining, BarrierResult> {
  const { nc, names, timeoutMs, signal } = options;
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const deadlineMs = performance.now() + timeoutMs;
  let mark: RawNumbers | undefined;
  for (const role of STREAMS) {
    const stream = names.stream(role);
    let noted: RawNumbers | undefined;
    for (;;) {
      let batchesLeft = 0n;
      let trouble: string | undefined;
      let state: StreamState | undefined;
      try {
        const info = await jsm.streams.info(stream);
        assertWhole(info);
        state = info.state;
        const epoch = streamEpoch(info);
        noted ??= { epoch, last: BigInt(state.last_seq) };
        if (role === "raw") mark ??= noted;
        // A stream that was made anew has nothing of what it held before.
        if (epoch !== noted.epoch) break;
        batchesLeft = countLeft(state, noted.last);
        if (batchesLeft === 0n) break;
      } catch (error) {
        trouble = `${stream} can't be looked at: ${(error as Error).message}`;
      }
      if (signal.aborted || performance.now() > deadlineMs) {
        const stall = { stream, batchesLeft, why: trouble ?? "" };
        return {
          ...(mark && { mark }),
          stall: trouble === undefined ? await examineStall(jsm, role, stall, state!) : stall,
        };
      }
      yield { stream, batchesLeft };
      await pause(LOOK_MS, signal);
    }
  }
  return { mark: mark! };
}

/** Another copy of the stream is away or behind, so nobody knows whether what is told is true. */
class PartedStreamError extends Error {
  override name = "PartedStreamError";
}

function assertWhole(info: StreamInfo): void {
  if (isWhole(info)) return;
  throw new PartedStreamError(
    "not all of its copies are there and up to date; see to the servers of the cluster",
  );
}

/** What RAW has given out by now, and whether a cluster is in a state to say so. Rejects where it can't be looked at. */
export async function readRawNumbers(
  nc: NatsConnection,
  names: NatsNames,
): Promise<RawNumbers & { isCertain: boolean }> {
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const info = await jsm.streams.info(names.stream("raw"));
  return { epoch: streamEpoch(info), last: BigInt(info.state.last_seq), isCertain: isWhole(info) };
}

function countLeft({ messages, first_seq }: StreamState, last: bigint): bigint {
  if (messages === 0 || BigInt(first_seq) > last) return 0n;
  const span = last - BigInt(first_seq) + 1n;
  return span < BigInt(messages) ? span : BigInt(messages);
}

async function examineStall(
  jsm: JetStreamManager,
  role: StreamRole,
  stall: Stall,
  { first_ts }: StreamState,
): Promise<Stall> {
  const stage = STAGE_OF[role];
  const oldestAgeMs = Math.max(0, Date.now() - Date.parse(first_ts));
  const consumers = await jsm.consumers
    .list(stall.stream)
    .next()
    .catch(() => []);
  const [info] = consumers;
  if (info === undefined)
    return {
      ...stall,
      oldestAgeMs,
      why: `nobody works ${stall.stream} off: the ${stage} has never been there`,
    };
  const consumer = { name: info.name, pending: info.num_pending, unacknowledged: info.num_ack_pending };
  const why =
    info.num_waiting === 0
      ? `the ${stage} takes nothing from ${stall.stream}: it is paused, away, or held up by what it writes to`
      : `the ${stage} works ${stall.stream} off, but was not done in time; with a longer timeout it may be`;
  return { ...stall, oldestAgeMs, consumer, why };
}
