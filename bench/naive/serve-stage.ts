import { AckPolicy, type JetStreamClient, type JsMsg, jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

/** Far above what is under way at a time, on a machine that does other things too. */
const PUBLISH_TIMEOUT_MS = 60_000;
const MESSAGES_AHEAD = 256;

/** The streams of the naive mesh, in the order in which a record passes them. */
export const NAIVE_STREAMS = ["raw", "enriched", "unique"] as const;
export type NaiveStream = (typeof NAIVE_STREAMS)[number];

export interface NaiveStage {
  /** Publishes one record and waits for its acknowledgement. */
  publish(stream: NaiveStream, record: Uint8Array): Promise<void>;
  /** Gives every record of a stream to `handle`, up to 256 at a time, and acknowledges it after that. */
  consume(stream: NaiveStream, handle: (record: Uint8Array) => Promise<void>): Promise<void>;
}

export async function openStage(): Promise<NaiveStage> {
  const nc = await connect({ servers: process.env.NATS_URL! });
  const js = jetstream(nc, { timeout: PUBLISH_TIMEOUT_MS });
  return {
    publish: async (stream, record) => void (await js.publish(`naive.${stream}`, record)),
    consume: async (stream, handle) => consume(js, stream, handle),
  };
}

/** Tells the parent that the process is ready, and ends with it. */
export function announceReady(port?: number): void {
  process.send!({ port });
  process.on("disconnect", () => process.exit());
}

async function consume(
  js: JetStreamClient,
  stream: NaiveStream,
  handle: (record: Uint8Array) => Promise<void>,
): Promise<void> {
  const jsm = await js.jetstreamManager();
  await jsm.consumers.add(stream, { durable_name: stream, ack_policy: AckPolicy.Explicit });
  const consumer = await js.consumers.get(stream, stream);
  const take = async (message: JsMsg): Promise<void> => {
    await handle(message.data);
    message.ack();
  };
  await consumer.consume({
    max_messages: MESSAGES_AHEAD,
    // No mesh that is measured loses a message: what fails here ends the measurement.
    callback: (message) => void take(message),
  });
}
