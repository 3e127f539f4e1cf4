import { setTimeout as sleep } from "node:timers/promises";
import {
  AckPolicy,
  type Consumer,
  DeliverPolicy,
  JetStreamApiError,
  type JsMsg,
  jetstream,
  jetstreamManager,
  type StreamInfo,
} from "@nats-io/jetstream";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import { unbundle } from "../batch/bundle.ts";
import { backoffMs, DEPENDENCY_BACKOFF, pause, retryUntil } from "../runtime/backoff.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Dependency } from "../runtime/service-status.ts";
import type { Meter } from "../telemetry/meter.ts";
import { type Delivery, deliverBatches } from "./delivery.ts";
import { HeldAck } from "./held-ack.ts";
import { untilAnswering } from "./nats-connection.ts";
import { StuckWatch } from "./stuck-watch.ts";
import {
  ensureStream,
  isWhole,
  type NatsNames,
  type StreamOptions,
  type StreamRole,
  streamEpoch,
} from "./topology.ts";

/** How far one consumer is behind its stream. */
export interface ConsumerLag {
  stream: string;
  stage: string;
  consumer: string;
  /** Messages with batches not delivered yet. */
  pendingBatches: number;
  /** Messages delivered and not acknowledged yet, by all replicas of the stage. */
  unacknowledgedBatches: number;
  /** Records in the messages not delivered yet, if they are as large as those that this process has seen. */
  pendingRecordsEstimate: number;
  /** How long the oldest batch in the stream has been there; undefined where there is none. */
  oldestAgeMs: number | undefined;
  /** The stream's bytes as a share of those at which it takes no more. */
  streamFill: number;
}

export interface StageConsumerOptions {
  nc: NatsConnection;
  names: NatsNames;
  /** The stream to work off. */
  stream: StreamRole;
  streamOptions: StreamOptions;
  /** Names the durable consumer; replicas of a stage share it. */
  stage: string;
  ackWaitMs: number;
  /** Deliveries held at once; times the size of a message, this bounds the stage's memory. */
  maxHeld: number;
  log: Logger;
  meter: Meter;
  /** Follows whether the stream can be worked off. */
  dependency: Dependency;
  /** Takes a delivery over; ack or giveBack may come later. Must not throw. */
  onDelivery(delivery: Delivery): void;
}

/** Deliveries that all replicas of a stage hold together at most. */
const MAX_ACK_PENDING = 256;
const LOOK_MS = 5_000;
const FLUSH_MS = 1_000;
/** How long one fetch waits for messages; a drain lets it end first. */
const FETCH_MS = 1_000;

/** JetStream's error code for a durable that exists with other settings. */
const DURABLE_DIFFERS = 10148;

/**
 * Works off a stream with a durable pull consumer. Fetches only what it has room to hold, reports held messages as in
 * progress so that a slow stage doesn't multiply them, and binds anew when the consumer or the stream is gone.
 */
export class StageConsumer {
  readonly #options: StageConsumerOptions;
  /** Not a Set: each table that a Set has outgrown keeps what was in it alive until the next full collection, and buffers with it. */
  readonly #held: JsMsg[] = [];
  readonly #lastAck = new HeldAck();
  readonly #stopping = new AbortController();
  #paused = false;
  #wake: () => void = () => {};
  #loop: Promise<void> | undefined;
  #durable: string;
  /** The highest number that the stream has delivered, and in which incarnation. */
  #highest = { epoch: 0n, sequence: 0 };
  /** What has been delivered so far. */
  #messages = 0;
  #batches = 0;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(options: StageConsumerOptions) {
    this.#options = options;
    this.#durable = options.stage;
  }

  /** Waits for its stream, then works in the background. Resolves early where `drain` is called meanwhile. */
  async start(): Promise<void> {
    const { ackWaitMs, stage, dependency, log } = this.#options;
    const { signal } = this.#stopping;
    const bound = await retryUntil(() => this.#bind(), {
      signal,
      backoff: DEPENDENCY_BACKOFF,
      onFailure: (error, retryInMs) => {
        const why = (error as Error).message;
        dependency.down(why);
        log.warn({ stage, why, retryInMs }, "waiting for the stream to work off");
      },
    }).catch(() => undefined);
    if (bound === undefined || signal.aborted) return;
    dependency.up();
    const stuckWatch = new StuckWatch(2 * ackWaitMs);
    this.#timers.push(
      setInterval(() => this.#reportProgress(), ackWaitMs / 3),
      setInterval(() => void this.#mendStuck(stuckWatch), Math.min(LOOK_MS, ackWaitMs)),
    );
    this.#loop = this.#run(bound);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wake();
  }

  /** Takes nothing new and waits until everything held is acknowledged or given back. */
  async drain(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    await this.#loop;
    while (this.#held.length > 0) await this.#change();
    this.#lastAck.send();
    this.#timers.forEach(clearInterval);
    // Without a connection there is nobody to wait for: what was acknowledged last comes again.
    await Promise.race([
      this.#options.nc.flush().catch(() => {}),
      sleep(FLUSH_MS, undefined, { ref: false }),
    ]);
  }

  async lag(): Promise<ConsumerLag[]> {
    const { nc, names, stream, stage, meter } = this.#options;
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    const name = names.stream(stream);
    const [{ state, config }, info] = await Promise.all([
      jsm.streams.info(name),
      jsm.consumers.info(name, this.#durable),
    ]);
    return [
      {
        stream: name,
        stage,
        consumer: info.name,
        pendingBatches: info.num_pending,
        unacknowledgedBatches: info.num_ack_pending,
        pendingRecordsEstimate: Math.round(
          info.num_pending * this.#batchesPerMessage * meter.recordsPerBatch,
        ),
        // The clocks of server and process may differ.
        oldestAgeMs: state.messages === 0 ? undefined : Math.max(0, Date.now() - Date.parse(state.first_ts)),
        streamFill: state.bytes / config.max_bytes,
      },
    ];
  }

  get #batchesPerMessage(): number {
    return this.#messages === 0 ? 1 : this.#batches / this.#messages;
  }

  async #run(first: Bound): Promise<void> {
    const { dependency, log, meter, stage, maxHeld } = this.#options;
    let bound: Bound | undefined = first;
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      if (this.#paused || maxHeld - this.#held.length < maxHeld / 2) {
        await this.#change();
        continue;
      }
      try {
        // What is asked of a server that is away waits for nothing but its timeout, and then the server has long been back.
        if (bound === undefined && !(await untilAnswering(this.#options.nc, this.#stopping.signal))) return;
        bound ??= await this.#bind();
        await this.#fetch(bound);
        failures = 0;
        dependency.up();
      } catch (error) {
        bound = undefined;
        meter.count("chowhound.consumer.restarts", 1, { "chowhound.reason": "error" });
        const why = (error as Error).message;
        const retryInMs = backoffMs(failures++, DEPENDENCY_BACKOFF);
        // One failure is what a recreated consumer looks like; it is bound anew at once.
        if (failures > 1) dependency.down(why);
        log.warn({ stage, why, retryInMs }, "fetching failed");
        await pause(retryInMs, this.#stopping.signal);
      }
    }
  }

  /** Fetches until the room is used or the wait is over, consuming the fetch to its end: nothing is left in transit. */
  async #fetch({ consumer, stream, epoch }: Bound): Promise<void> {
    const room = this.#options.maxHeld - this.#held.length;
    const expires = withJitter(FETCH_MS, 0.05);
    const messages = await consumer.fetch({ max_messages: room, expires });
    // While the connection is down the client lets a fetch stay open; what was in transit comes again.
    const overdue = setTimeout(() => messages.stop(), 2 * expires);
    try {
      for await (const message of messages) this.#deliver(message, stream, epoch);
    } finally {
      clearTimeout(overdue);
    }
  }

  #deliver(message: JsMsg, stream: string, epoch: bigint): void {
    // What a fetch brings after a pause is for a replica, or for later. And after a reconnect the client asks for the
    // whole fetch once more, whatever it has brought already.
    if (this.#paused || this.#held.length >= this.#options.maxHeld) {
      message.nak(FETCH_MS);
      return;
    }
    this.#held.push(message);
    if (epoch !== this.#highest.epoch || message.seq > this.#highest.sequence)
      this.#highest = { epoch, sequence: message.seq };
    if (message.info.deliveryCount > 1) this.#options.meter.count("chowhound.redeliveries", 1);
    // RAW's numbers are those of batches: there a bundle is none.
    const batches = this.#options.stream === "raw" ? [message.data] : unbundle(message.data);
    this.#messages++;
    this.#batches += batches.length;
    deliverBatches(message, batches, {
      stream,
      epoch,
      onDelivery: this.#options.onDelivery,
      onSettled: (giveBackMs) => {
        this.#held.splice(this.#held.indexOf(message), 1);
        if (giveBackMs === undefined) this.#lastAck.follow(message);
        else message.nak(withJitter(giveBackMs, 0.5));
        this.#wake();
      },
    });
  }

  #reportProgress(): void {
    for (const message of this.#held) message.working();
  }

  /** Deletes the durable when messages are stuck behind it: every replica binds anew, and they come once more. */
  async #mendStuck(watch: StuckWatch): Promise<void> {
    const { nc, names, stream, log, meter } = this.#options;
    const name = names.stream(stream);
    const durable = this.#durable;
    try {
      const jsm = await jetstreamManager(nc, { checkAPI: false });
      const highest = this.#highest;
      const info = await jsm.streams.info(name);
      if (!isWhole(info)) {
        watch.forget();
        return;
      }
      this.#checkRewind(info, highest);
      const before = info.state.messages;
      const { num_pending, num_ack_pending } = await jsm.consumers.info(name, durable);
      const after = (await jsm.streams.info(name)).state.messages;
      // The looks are not of one moment: what is acknowledged or published in between must not count as stuck.
      const look = {
        messages: Math.min(before, after),
        pending: num_pending,
        unacknowledged: num_ack_pending,
      };
      const stuck = watch.look(look, performance.now());
      if (stuck === 0 || this.#stopping.signal.aborted) return;
      log.error(
        { stream: name, consumer: durable, stuck },
        "messages are stuck in the stream: making the consumer anew",
      );
      meter.count("chowhound.consumer.restarts", 1, { "chowhound.reason": "stuck" });
      await jsm.consumers.delete(name, durable);
    } catch (error) {
      // Nothing to look at while the server is away or the consumer is being made anew.
      watch.forget();
      log.debug({ stream: name, why: (error as Error).message }, "could not look for stuck messages");
    }
  }

  /** Raises an alarm where the stream has not yet given out what it had delivered: it was restored from an older copy. */
  #checkRewind(info: StreamInfo, { epoch, sequence }: { epoch: bigint; sequence: number }): void {
    const { log, meter } = this.#options;
    const { last_seq } = info.state;
    if (streamEpoch(info) !== epoch || last_seq >= sequence) return;
    const stream = info.config.name;
    meter.count("chowhound.stream.rewinds", 1);
    log.error(
      { stream, last: last_seq, delivered: sequence },
      "the stream was rewound: it will give out numbers twice; see docs/audit.md#number_ahead",
    );
    // Once for each time.
    this.#highest = { epoch, sequence: last_seq };
  }

  /**
   * Makes sure of stream and durable. The durable carries the stream's epoch in its name: a replica that still reads
   * under the old name when the stream has been made anew gets an error, never a message with the wrong epoch.
   */
  async #bind(): Promise<Bound> {
    const { nc, names, stream, streamOptions, stage, ackWaitMs, log } = this.#options;
    const info = await ensureStream(nc, names, stream, streamOptions);
    const epoch = streamEpoch(info);
    this.#durable = `${stage}-${epoch}`;
    const jsm = await jetstreamManager(nc);
    const settings = { ack_wait: nanos(ackWaitMs), max_deliver: -1, max_ack_pending: MAX_ACK_PENDING };
    await jsm.consumers
      .add(info.config.name, {
        durable_name: this.#durable,
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
        ...settings,
      })
      .catch((error: unknown) => {
        if (!(error instanceof JetStreamApiError && error.code === DURABLE_DIFFERS)) throw error;
        return jsm.consumers.update(info.config.name, this.#durable, settings);
      });
    const consumer = await jetstream(nc).consumers.get(info.config.name, this.#durable);
    log.debug({ stream: info.config.name, consumer: this.#durable }, "bound");
    return { consumer, stream: info.config.name, epoch };
  }

  /** Resolves at the next settled delivery, resume or drain. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const previous = this.#wake;
      this.#wake = () => {
        this.#wake = () => {};
        previous();
        resolve();
      };
    });
  }
}

/**
 * Up to a share of it more. Replicas that wait in step are served in step: what one of them has given back comes to that same
 * one again, and not to the one that could take it.
 */
function withJitter(ms: number, share: number): number {
  return Math.round(ms * (1 + share * Math.random()));
}

interface Bound {
  consumer: Consumer;
  /** The stream's name. */
  stream: string;
  epoch: bigint;
}
