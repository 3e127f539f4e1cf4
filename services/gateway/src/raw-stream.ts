import { CallError } from "@chowhound/shared/errors/call-error";
import { pause, retryUntil } from "@chowhound/shared/runtime/backoff";
import type { Dependency } from "@chowhound/shared/runtime/service-status";
import type { ServiceRuntime } from "@chowhound/shared/service/run-service";
import { connectNats } from "@chowhound/shared/stream/nats-connection";
import { isStreamFull, publishOnce, sendFailure } from "@chowhound/shared/stream/publish-batch";
import { ensureStream, maxRawMessageBytes, natsNames, streamEpoch } from "@chowhound/shared/stream/topology";
import { startSend } from "@chowhound/shared/telemetry/send-trace";
import type { CallContexts } from "@chowhound/shared/telemetry/trace-header";
import { type JetStreamClient, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { GatewayConfig } from "./config.ts";
import { type RawNumber, RawNumbers } from "./raw-numbers.ts";

interface Open {
  nc: NatsConnection;
  js: JetStreamClient;
}

const FULL_RETRY_MS = 1_000;
const UNACKNOWLEDGED_RETRY_MS = 500;
const ENSURE_PAUSE_MS = 1_000;

/** The way into RAW: the connection to NATS, the stream, and what a failed publish means to a caller. */
export class RawStream {
  readonly #config: GatewayConfig;
  readonly #runtime: ServiceRuntime;
  readonly #names;
  readonly #dependency: Dependency;
  readonly #numbers = new RawNumbers();
  #open: Open | undefined;
  #ensuring: Promise<void> | undefined;

  constructor(config: GatewayConfig, runtime: ServiceRuntime) {
    this.#config = config;
    this.#runtime = runtime;
    this.#names = natsNames(config.natsPrefix);
    this.#dependency = runtime.status.dependency("raw-stream", { through: "nats" });
  }

  /** Waits for NATS and makes sure of the stream, as long as it takes. Resolves with NATS. Rejects once the runtime's signal is aborted. */
  async start(): Promise<NatsConnection> {
    const { log, status, meter, signal } = this.#runtime;
    const nc = await connectNats({
      urls: this.#config.natsUrls,
      name: "chowhound-gateway",
      log,
      status,
      meter,
      signal,
    });
    this.#open = { nc, js: jetstream(nc) };
    await this.#ensure(nc);
    return nc;
  }

  /** NATS is connected and RAW is there. */
  get isReady(): boolean {
    return this.#open !== undefined && this.#runtime.status.waitingFor.length === 0;
  }

  /** NATS, for what goes past RAW; undefined while it is not connected. */
  get connection(): NatsConnection | undefined {
    const isUp = this.#runtime.status.dependencies.some(({ name, isUp }) => name === "nats" && isUp);
    return isUp ? this.#open?.nc : undefined;
  }

  /** The highest number that RAW has acknowledged by now to this gateway. */
  get acknowledged(): RawNumber | undefined {
    return this.#numbers.acknowledged;
  }

  /** The server's max_payload, as far as known: what bounds a record. */
  get maxPayloadBytes(): number {
    return this.#open?.nc.info?.max_payload ?? 1024 * 1024;
  }

  /** Half of the largest message: the enricher may make a batch twice as large. */
  get maxBatchBytes(): number {
    return this.#open === undefined ? 0 : Math.floor(maxRawMessageBytes(this.#open.nc) / 2);
  }

  /** Resolves when JetStream has acknowledged the batch. Rejects with CallError mesh_full or not_acknowledged. */
  async publish(partition: number, batch: Uint8Array, sampled: CallContexts): Promise<void> {
    const roomBytes = (this.#open === undefined ? 0 : maxRawMessageBytes(this.#open.nc)) - batch.length;
    const trace = startSend(sampled, this.#names.stream("raw"), roomBytes);
    try {
      if (this.#open === undefined) throw new Error("not connected to NATS");
      const before = this.#numbers.acknowledged;
      const sequence = await publishOnce(this.#open.js, this.#names.subject("raw", partition), batch, {
        meter: this.#runtime.meter,
        stream: this.#names.stream("raw"),
        trace,
      });
      trace?.end();
      if (this.#numbers.noteAcknowledged(before, sequence)) this.#ensureAgain();
    } catch (cause) {
      trace?.end(sendFailure(cause));
      if (isStreamFull(cause)) {
        throw new CallError("mesh_full", "the mesh holds as much as it can; try again later", {
          retryDelayMs: FULL_RETRY_MS,
          cause,
        });
      }
      this.#ensureAgain();
      throw new CallError(
        "not_acknowledged",
        "the stream did not acknowledge the records in time; they may be in or not: send them again, it is harmless",
        { retryDelayMs: UNACKNOWLEDGED_RETRY_MS, cause },
      );
    }
  }

  async close(): Promise<void> {
    await this.#ensuring?.catch(() => {});
    await this.#open?.nc.close();
  }

  async #ensure(nc: NatsConnection): Promise<void> {
    const { log, meter, signal } = this.#runtime;
    const { streamMaxBytes, streamReplicas } = this.#config;
    const options = { maxBytes: streamMaxBytes, replicas: Number(streamReplicas) };
    const info = await retryUntil(() => ensureStream(nc, this.#names, "raw", options), {
      signal,
      onFailure: (error, retryInMs) => {
        const why = (error as Error).message;
        this.#dependency.down(why);
        log.warn({ stream: this.#names.stream("raw"), why, retryInMs }, "waiting for the stream");
      },
    });
    this.#dependency.up();
    const rewoundTo = this.#numbers.found(streamEpoch(info));
    if (rewoundTo === undefined) return;
    meter.count("chowhound.stream.rewinds", 1);
    log.error(
      { stream: this.#names.stream("raw"), acknowledged: rewoundTo },
      "RAW was rewound: it gives out numbers twice that it had acknowledged; see docs/audit.md#number_reused",
    );
  }

  /** Something is wrong with the stream; it may be gone. Looks after it in the background, at most once a second. */
  #ensureAgain(): void {
    const open = this.#open;
    if (open === undefined || this.#runtime.signal.aborted) return;
    this.#ensuring ??= this.#ensure(open.nc)
      .then(() => pause(ENSURE_PAUSE_MS, this.#runtime.signal))
      .then(
        () => {},
        () => {},
      )
      .finally(() => {
        this.#ensuring = undefined;
      });
  }
}
