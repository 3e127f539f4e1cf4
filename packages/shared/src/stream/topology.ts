import {
  DiscardPolicy,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import { DEPENDENCY_BACKOFF, retryUntil } from "../runtime/backoff.ts";
import type { Logger } from "../runtime/logger.ts";

/** The three streams of a mesh, in the order in which a batch passes them. */
export const STREAMS = ["raw", "enriched", "unique"] as const;
export type StreamRole = (typeof STREAMS)[number];

/** The names that a mesh uses on its NATS server, all beginning with its prefix. */
export function natsNames(prefix: string) {
  return {
    stream: (role: StreamRole): string => `${prefix}-${role}`,
    subjects: (role: StreamRole): string => `${prefix}.${role}.*`,
    subject: (role: StreamRole, partition: number): string => `${prefix}.${role}.${partition}`,
    /** Plain NATS: the store tells what it has committed. */
    commitNotices: `${prefix}.store.committed`,
    /** Plain NATS request: which database is it, and does it have these batches? */
    confirm: `${prefix}.store.confirm`,
    /** Plain NATS request: a question of QueryService. */
    query: `${prefix}.store.query`,
    /** Plain NATS request: what is a commit worth? */
    durability: `${prefix}.store.durability`,
    pipelinesBucket: `${prefix}-pipelines`,
  };
}

export type NatsNames = ReturnType<typeof natsNames>;

export interface StreamOptions {
  maxBytes: number;
  replicas: number;
}

/** The largest message a stream takes, given the server's max_payload: headers and subject need a little. */
export function maxMessageBytes(nc: NatsConnection): number {
  return (nc.info?.max_payload ?? 1024 * 1024) - 4096;
}

/** What it takes to wrap a message that is no batch, at most. */
const WRAPPING_BYTES = 4096;

/** The largest message RAW takes: whatever is in it can be passed on as a dead record. */
export function maxRawMessageBytes(nc: NatsConnection): number {
  return maxMessageBytes(nc) - WRAPPING_BYTES;
}

/**
 * Makes sure that a stream exists as designed: work queue, on disk, refusing what doesn't fit. Any number of processes
 * may call it at once. Takes over a changed size, except one below what the stream holds.
 */
export async function ensureStream(
  nc: NatsConnection,
  names: NatsNames,
  role: StreamRole,
  options: StreamOptions,
): Promise<StreamInfo> {
  const jsm = await jetstreamManager(nc);
  const sizes = {
    max_bytes: options.maxBytes,
    max_msg_size: role === "raw" ? maxRawMessageBytes(nc) : maxMessageBytes(nc),
    num_replicas: options.replicas,
  };
  const wanted: Partial<StreamConfig> & { name: string } = {
    name: names.stream(role),
    subjects: [names.subjects(role)],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    duplicate_window: nanos(1_000),
    ...sizes,
  };
  const existing = await findStream(jsm, wanted.name);
  if (existing === undefined) return await jsm.streams.add(wanted);
  const { config, state } = existing;
  const isSame =
    config.max_bytes === sizes.max_bytes &&
    config.max_msg_size === sizes.max_msg_size &&
    config.num_replicas === sizes.num_replicas;
  if (isSame || options.maxBytes < state.bytes) return existing;
  return await jsm.streams.update(wanted.name, { ...config, ...sizes });
}

/** `ensureStream`, again and again until it succeeds. Rejects once `signal` is aborted. */
export function awaitStream(
  nc: NatsConnection,
  names: NatsNames,
  role: StreamRole,
  options: StreamOptions,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<StreamInfo> {
  return retryUntil(() => ensureStream(nc, names, role, options), {
    signal,
    backoff: DEPENDENCY_BACKOFF,
    onFailure: (error, retryInMs) =>
      log.warn(
        { stream: names.stream(role), why: (error as Error).message, retryInMs },
        "waiting for a stream",
      ),
  });
}

/** Undefined where there is no such stream. */
export async function findStream(jsm: JetStreamManager, name: string): Promise<StreamInfo | undefined> {
  try {
    return await jsm.streams.info(name);
  } catch (error) {
    if ((error as Error).name === "StreamNotFoundError") return undefined;
    throw error;
  }
}

/**
 * Whether all copies of a stream are there and up to date. What is told of one that isn't can be of different moments: also
 * a server that is cut off, and takes itself for the leader, answers.
 */
export function isWhole({ config, cluster }: Pick<StreamInfo, "config" | "cluster">): boolean {
  const copies = cluster?.replicas ?? [];
  return (
    copies.length === config.num_replicas - 1 &&
    copies.every(({ current, offline }) => current && offline !== true)
  );
}

/** Names the incarnation of a stream: microseconds of its creation. Survives restarts, changes when it is made anew. */
export function streamEpoch(info: StreamInfo): bigint {
  const match = /^([^.]+?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(info.created);
  if (match === null) throw new Error(`a stream created at "${info.created}"`);
  const [, seconds, fraction = "", zone] = match;
  return BigInt(Date.parse(`${seconds}${zone}`)) * 1000n + BigInt(fraction.padEnd(6, "0").slice(0, 6));
}
