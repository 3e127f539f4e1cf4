import { create, toBinary } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import {
  type PipelinesState,
  PipelinesStateSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { type Pipeline, PipelineSchema } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { backoffMs, pause } from "@chowhound/shared/runtime/backoff";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { Dependency } from "@chowhound/shared/runtime/service-status";
import { streamEpoch } from "@chowhound/shared/stream/topology";
import { JetStreamApiCodes, JetStreamApiError, jetstreamManager, type StreamInfo } from "@nats-io/jetstream";
import { type KV, type KvEntry, Kvm, KvWatchInclude } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import type { CompiledPipeline, PipelineSpec } from "./pipeline.ts";
import { createPipelineSet, type PipelineSet } from "./pipeline-set.ts";
import { Revisions } from "./revisions.ts";
import { nextVersion, pipelineKey, readStoredPipeline, type StoredPipeline } from "./stored-pipeline.ts";

export interface PipelineStoreOptions {
  /** The name of the bucket; made where there is none. */
  bucket: string;
  replicas: number;
  /** Up while every stored pipeline can be run. */
  dependency: Dependency;
  log: Logger;
  signal: AbortSignal;
  /** The pipelines in force have changed. */
  onChange(): void;
}

const HISTORY = 5;

/**
 * The pipelines of all tenants, kept in a NATS bucket and followed by every replica. They are in force all together or
 * not at all: if one can't be run by this software, nothing is processed until that is mended.
 */
export class PipelineStore {
  readonly #options: PipelineStoreOptions;
  readonly #firstLoad = Promise.withResolvers<void>();
  readonly #revisions = new Revisions();
  #bucket: Bucket | undefined;
  #stored: ReadonlyMap<string, StoredPipeline> | undefined;
  #inForce: PipelineSet | undefined;
  #greatestVersion = 0n;
  #loading: Promise<void> = Promise.resolve();
  #following: Promise<void> | undefined;
  #stopChanges: () => void = () => {};

  constructor(options: PipelineStoreOptions) {
    this.#options = options;
    this.#firstLoad.promise.catch(() => {});
  }

  /** The pipelines in force; undefined before they are loaded and while one of them can't be run. */
  get inForce(): PipelineSet | undefined {
    return this.#inForce;
  }

  /** Which state of the bucket those in force are; undefined where that isn't known, for a moment. */
  get state(): PipelinesState | undefined {
    const revision = this.#revisions.current;
    if (this.#bucket === undefined || revision === undefined) return undefined;
    return create(PipelinesStateSchema, { epoch: this.#bucket.epoch, revision });
  }

  /** How many pipelines are stored. */
  get size(): number {
    return this.#stored?.size ?? 0;
  }

  /** Resolves when all pipelines are loaded, and follows them from then on. Rejects once the signal is aborted. */
  async start(nc: NatsConnection): Promise<void> {
    this.#following = this.#follow(nc);
    void this.#reloadOnReconnect(nc);
    this.#options.signal.addEventListener("abort", () => this.#stopChanges(), { once: true });
    await this.#firstLoad.promise;
  }

  /** Waits until nothing is followed any more; the signal must have been aborted, or the connection closed. */
  async close(): Promise<void> {
    this.#stopChanges();
    await this.#following;
  }

  /** All stored pipelines, by tenant and source type. Throws CallError not_ready before they are loaded. */
  list(): Pipeline[] {
    return [...this.#loaded().values()]
      .flatMap(({ pipeline }) => pipeline ?? [])
      .sort((a, b) => compare(a.tenantId, b.tenantId) || compare(a.sourceType, b.sourceType));
  }

  /** The pipeline stored under exactly this tenant and source type. Throws CallError not_ready, pipeline_not_found. */
  get(tenant: string, sourceType: string): Pipeline {
    const pipeline = this.#loaded().get(pipelineKey(tenant, sourceType))?.pipeline;
    if (pipeline !== undefined) return pipeline;
    throw new CallError("pipeline_not_found", `there is no pipeline for exactly ${tenant} and ${sourceType}`);
  }

  /**
   * Stores a pipeline and resolves when this replica has it in force. Rejects with CallError: not_ready,
   * pipeline_changed where another change came in between, not_acknowledged where nobody knows whether it is stored.
   */
  async apply(spec: PipelineSpec, definition: string): Promise<Pipeline> {
    const key = pipelineKey(spec.tenant, spec.sourceType);
    const known = this.#loaded().get(key);
    this.#greatestVersion = nextVersion(this.#greatestVersion, Date.now());
    const pipeline = create(PipelineSchema, {
      tenantId: spec.tenant,
      sourceType: spec.sourceType,
      version: this.#greatestVersion,
      definition,
      appliedAt: timestampNow(),
      description: spec.description,
    });
    const value = toBinary(PipelineSchema, pipeline);
    const revision = await this.#write(key, value, known?.revision);
    // A load that began before may have read what was there then.
    await this.#loading.catch(() => {});
    this.#take({ key, revision, value, operation: "PUT" });
    this.#options.log.info({ ...describe(pipeline) }, "applied a pipeline");
    return pipeline;
  }

  /** Writes only if the entry is still the one that was known; returns its new revision. */
  async #write(key: string, value: Uint8Array, knownRevision: number | undefined): Promise<number> {
    const { kv } = this.#bucket!;
    try {
      return knownRevision === undefined
        ? await kv.create(key, value)
        : await kv.update(key, value, knownRevision);
    } catch (cause) {
      if (cause instanceof JetStreamApiError && LOST_RACE_CODES.has(cause.code)) {
        const message = "another change of this pipeline came in between; look at it, then apply yours again";
        throw new CallError("pipeline_changed", message, { cause });
      }
      const message =
        "NATS did not confirm the change: it may be stored or not; look at it, then apply again";
      throw new CallError("not_acknowledged", message, { cause });
    }
  }

  /** Loads everything and then takes change after change; from the beginning when anything breaks. */
  async #follow(nc: NatsConnection): Promise<void> {
    const { signal, log, dependency } = this.#options;
    for (let failures = 0; !signal.aborted && !nc.isClosed(); ) {
      let looking: NodeJS.Timeout | undefined;
      try {
        const bucket = this.#bucket ?? (await this.#open(nc));
        // Watched before it is loaded, so that no change falls in between.
        const changes = await bucket.kv.watch({ include: KvWatchInclude.UpdatesOnly });
        this.#stopChanges = () => changes.stop();
        if (signal.aborted) changes.stop();
        this.#loading = this.#load(bucket);
        await this.#loading;
        failures = 0;
        // A watch doesn't notice that its bucket has been made anew.
        looking = setInterval(() => void bucket.list().catch(() => changes.stop()), LOOK_MS);
        for await (const change of changes) this.#take(change);
      } catch (error) {
        const why = (error as Error).message;
        const retryInMs = backoffMs(failures++);
        // What is loaded stays in force: without NATS there is nothing to process either.
        if (this.#stored === undefined) dependency.down(`not loaded: ${why}`);
        log.warn({ why, retryInMs }, "loading the pipelines failed");
        await pause(retryInMs, signal);
      } finally {
        clearInterval(looking);
        this.#stopChanges();
      }
    }
    this.#firstLoad.reject(new Error("stopped before the pipelines were loaded"));
  }

  /** A watch may miss changes while the connection is away: it ends, and #follow begins anew. */
  async #reloadOnReconnect(nc: NatsConnection): Promise<void> {
    for await (const event of nc.status()) if (event.type === "reconnect") this.#stopChanges();
  }

  async #open(nc: NatsConnection): Promise<Bucket> {
    const { bucket: name, replicas } = this.#options;
    // Direct reads may come from a replica that lags behind: a load could miss what the watch is too late for.
    const kv = await new Kvm(nc).create(name, { replicas, history: HISTORY, allow_direct: false });
    const info = await bucketInfo(nc, name);
    return { kv, epoch: streamEpoch(info), list: () => listKeys(nc, name, info.created) };
  }

  async #load(bucket: Bucket): Promise<void> {
    const stored = new Map<string, StoredPipeline>();
    const { keys, lastRevision } = await bucket.list();
    const revisions = [];
    for (const key of keys) {
      const entry = await bucket.kv.get(key);
      if (entry !== null) revisions.push(BigInt(entry.revision));
      if (entry?.operation === "PUT") stored.set(key, readStoredPipeline(key, entry.revision, entry.value));
    }
    this.#bucket = bucket;
    this.#revisions.loaded(lastRevision);
    for (const revision of revisions) this.#revisions.note(revision);
    this.#putInForce(stored);
    this.#options.log.info({ pipelines: stored.size }, "loaded the pipelines");
    this.#firstLoad.resolve();
  }

  #take({
    key,
    revision,
    value,
    operation,
  }: Pick<KvEntry, "key" | "revision" | "value" | "operation">): void {
    const stored = new Map(this.#loaded());
    this.#revisions.note(BigInt(revision));
    if ((stored.get(key)?.revision ?? 0) >= revision) return;
    if (operation === "PUT") stored.set(key, readStoredPipeline(key, revision, value));
    else stored.delete(key);
    this.#putInForce(stored);
    this.#options.log.info({ ...describe(stored.get(key)?.pipeline), operation }, "a pipeline has changed");
  }

  #putInForce(stored: ReadonlyMap<string, StoredPipeline>): void {
    const { dependency, log, onChange } = this.#options;
    const pipelines: CompiledPipeline[] = [];
    const problems: string[] = [];
    for (const { pipeline, compiled } of stored.values()) {
      if (pipeline !== undefined && pipeline.version > this.#greatestVersion)
        this.#greatestVersion = pipeline.version;
      if ("problem" in compiled) problems.push(compiled.problem);
      else pipelines.push(compiled);
    }
    this.#stored = stored;
    this.#inForce = problems.length === 0 ? createPipelineSet(pipelines) : undefined;
    if (problems.length === 0) {
      dependency.up();
    } else {
      dependency.down(problems.join("; "));
      log.error({ problems }, "nothing is processed: a stored pipeline can't be run by this software");
    }
    onChange();
  }

  #loaded(): ReadonlyMap<string, StoredPipeline> {
    if (this.#stored !== undefined) return this.#stored;
    throw new CallError("not_ready", "the pipelines are not loaded yet; try again", { retryDelayMs: 1_000 });
  }
}

interface Bucket {
  readonly kv: KV;
  /** Names its incarnation. */
  readonly epoch: bigint;
  /** Throws where this is no longer the bucket that was opened. */
  readonly list: () => Promise<{ keys: string[]; lastRevision: bigint }>;
}

const LOOK_MS = 30_000;
const LOST_RACE_CODES: ReadonlySet<number> = new Set([
  JetStreamApiCodes.StreamWrongLastSequence,
  JetStreamApiCodes.StreamWrongLastSequenceUnknown,
]);

/** Asks for the subjects: unlike the client's own list of keys, the answer is all of them or an error. */
async function listKeys(
  nc: NatsConnection,
  bucket: string,
  created: string,
): Promise<{ keys: string[]; lastRevision: bigint }> {
  const info = await bucketInfo(nc, bucket);
  // A lost bucket must not read as "no pipelines": whoever restarts the process says that it shall.
  if (info.created !== created)
    throw new Error("the bucket has been made anew; restart to go by what is in it");
  const subjects = Object.keys(info.state.subjects ?? {});
  return {
    keys: subjects.map((subject) => subject.slice(`$KV.${bucket}.`.length)),
    lastRevision: BigInt(info.state.last_seq),
  };
}

async function bucketInfo(nc: NatsConnection, bucket: string): Promise<StreamInfo> {
  const jsm = await jetstreamManager(nc);
  return await jsm.streams.info(`KV_${bucket}`, { subjects_filter: ">" });
}

function describe(pipeline: Pipeline | undefined) {
  if (pipeline === undefined) return {};
  const { tenantId, sourceType, version } = pipeline;
  return { tenantId, sourceType, version: version.toString() };
}

/** By code units, the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
