import { setTimeout as sleep } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { unbundle } from "@chowhound/shared/batch/bundle";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import {
  CommitNoticeSchema,
  ConfirmRequestSchema,
  ConfirmResponseSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { NatsNames } from "@chowhound/shared/stream/topology";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";

/** Stands in for the store on a real NATS: takes from UNIQUE, books, notifies and answers as the test wants it. */
export class PlayedStore {
  generation = "g1";
  /** Hex ids of the batches in the books. */
  readonly booked = new Set<string>();
  /** How long an answer takes; undefined: none comes. */
  answersAfterMs: number | undefined = 0;
  /** Questions that came in. */
  questions = 0;
  readonly #nc: NatsConnection;
  readonly #names: NatsNames;
  #listening: Subscription | undefined;
  /** Came in one message with others, and nobody has asked for it yet. */
  readonly #taken: Uint8Array[] = [];

  constructor(nc: NatsConnection, names: NatsNames) {
    this.#nc = nc;
    this.#names = names;
    this.listen();
  }

  /** Answers questions, as it does from the beginning. */
  listen(): void {
    this.#listening = this.#nc.subscribe(this.#names.confirm, {
      callback: (_, message) => void this.#answer(message),
    });
  }

  /** Is no longer there to be asked. */
  async leave(): Promise<void> {
    this.#listening?.unsubscribe();
    await this.#nc.flush();
  }

  async #answer(message: Msg): Promise<void> {
    this.questions++;
    if (this.answersAfterMs === undefined) return;
    const { batchIds } = fromBinary(ConfirmRequestSchema, message.data);
    const allBooked = batchIds.every((id) => this.booked.has(hex(id)));
    const answer = create(ConfirmResponseSchema, {
      generation: this.generation,
      allBooked,
      byGeneration: true,
    });
    await sleep(this.answersAfterMs);
    message.respond(toBinary(ConfirmResponseSchema, answer));
  }

  /** The next batches of UNIQUE, acknowledged, whichever messages they are in. Waits until there are so many. */
  async take(count: number): Promise<Uint8Array[]> {
    const stream = this.#names.stream("unique");
    const jsm = await jetstreamManager(this.#nc);
    await jsm.consumers.add(stream, { durable_name: "store", ack_policy: AckPolicy.Explicit });
    const consumer = await jetstream(this.#nc).consumers.get(stream, "store");
    const taken = this.#taken;
    for (const deadline = Date.now() + 20_000; taken.length < count; ) {
      if (Date.now() > deadline) throw new Error(`${taken.length} of ${count} batches came`);
      for await (const message of await consumer.fetch({ max_messages: 1, expires: 1_000 })) {
        taken.push(...unbundle(message.data));
        await message.ackAck();
      }
    }
    return taken.splice(0, count);
  }

  /** Takes the next one, which must be a batch. */
  async takeBatch(): Promise<RecordBatch> {
    const decoded = decodeBatch((await this.take(1))[0]!);
    if (decoded.kind !== "batch") throw new Error(JSON.stringify(decoded));
    return decoded.batch;
  }

  /** Books a batch; sends no notice. */
  book(batch: RecordBatch): void {
    this.booked.add(hex(batch.batchId));
  }

  /** Tells that all records of a batch are committed. */
  async notify(batch: RecordBatch): Promise<void> {
    const { batchId, fingerprints } = batch;
    const notice = create(CommitNoticeSchema, {
      generation: this.generation,
      batches: [{ batchId, fingerprints }],
    });
    this.#nc.publish(this.#names.commitNotices, toBinary(CommitNoticeSchema, notice));
    await this.#nc.flush();
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
