import {
  AckPolicy,
  type Consumer,
  DeliverPolicy,
  type JsMsg,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import type { ConsumerLag } from "../rpc/admin-server.ts";
import { backoffMs, pause } from "../runtime/backoff.ts";
import type { Logger } from "../runtime/logger.ts";
import {
  ensureStream,
  type NatsNames,
  type StreamOptions,
  type StreamRole,
  streamEpoch,
} from "./topology.ts";

/** One message, held until exactly one of `ack` and `giveBack` is called. */
export interface Delivery {
  bytes: Uint8Array;
  /** The message's sequence in its stream, and the stream's incarnation. */
  sequence: number;
  epoch: bigint;
  /** 1 on the first delivery. */
  attempt: number;
  /** The work is done and safe downstream. */
  ack(): void;
  /** Deliver again after a wait. */
  giveBack(delayMs: number): void;
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
  /** Takes a delivery over; ack or giveBack may come later. Must not throw. */
  onDelivery(delivery: Delivery): void;
}

/** How long one fetch waits for messages; a drain waits for it at most. */
const FETCH_MS = 1_000;

/**
 * Works off a stream with a durable pull consumer. Fetches only what it has room to hold, reports held messages as in
 * progress so that a slow stage doesn't multiply them, and binds anew when the consumer or the stream is gone.
 */
export class StageConsumer {
  readonly #options: StageConsumerOptions;
  readonly #held = new Set<JsMsg>();
  readonly #stopping = new AbortController();
  #paused = false;
  #wake: () => void = () => {};
  #loop: Promise<void> | undefined;
  #durable: string;
  #progress: NodeJS.Timeout | undefined;

  constructor(options: StageConsumerOptions) {
    this.#options = options;
    this.#durable = options.stage;
  }

  /** Binds once, so that what is misconfigured shows at the start, then works in the background. */
  async start(): Promise<void> {
    const bound = await this.#bind();
    this.#progress = setInterval(() => {
      for (const message of this.#held) message.working();
    }, this.#options.ackWaitMs / 3);
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
    while (this.#held.size > 0) await this.#change();
    clearInterval(this.#progress);
    await this.#options.nc.flush().catch(() => {});
  }

  async lag(): Promise<ConsumerLag[]> {
    const { nc, names, stream } = this.#options;
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    const info = await jsm.consumers.info(names.stream(stream), this.#durable);
    return [
      {
        stream: info.stream_name,
        consumer: info.name,
        pendingBatches: info.num_pending,
        unacknowledgedBatches: info.num_ack_pending,
      },
    ];
  }

  async #run(first: Bound): Promise<void> {
    const { log, stage, maxHeld } = this.#options;
    let bound: Bound | undefined = first;
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      if (this.#paused || maxHeld - this.#held.size < maxHeld / 2) {
        await this.#change();
        continue;
      }
      try {
        bound ??= await this.#bind();
        await this.#fetch(bound);
        failures = 0;
      } catch (error) {
        bound = undefined;
        const retryInMs = backoffMs(failures++);
        log.warn({ stage, why: (error as Error).message, retryInMs }, "fetching failed");
        await pause(retryInMs, this.#stopping.signal);
      }
    }
  }

  /** Fetches until the room is used or the wait is over, consuming the fetch to its end: nothing is left in transit. */
  async #fetch({ consumer, epoch }: Bound): Promise<void> {
    const room = this.#options.maxHeld - this.#held.size;
    const messages = await consumer.fetch({ max_messages: room, expires: FETCH_MS });
    for await (const message of messages) this.#deliver(message, epoch);
  }

  #deliver(message: JsMsg, epoch: bigint): void {
    this.#held.add(message);
    const settle = (how: () => void) => () => {
      if (!this.#held.delete(message)) return;
      how();
      this.#wake();
    };
    this.#options.onDelivery({
      bytes: message.data,
      sequence: message.seq,
      epoch,
      attempt: message.info.deliveryCount,
      ack: settle(() => message.ack()),
      giveBack: (delayMs) => settle(() => message.nak(delayMs))(),
    });
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
    await jsm.consumers.add(info.config.name, {
      durable_name: this.#durable,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: nanos(ackWaitMs),
      max_deliver: -1,
      max_ack_pending: 1_000,
    });
    const consumer = await jetstream(nc).consumers.get(info.config.name, this.#durable);
    log.debug({ stream: info.config.name, consumer: this.#durable }, "bound");
    return { consumer, epoch };
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

interface Bound {
  consumer: Consumer;
  epoch: bigint;
}
