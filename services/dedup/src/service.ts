import { absorbNotice } from "@chowhound/shared/evidence/commit-notices";
import { createConfirmation } from "@chowhound/shared/evidence/confirm-generation";
import type { Service, ServiceRuntime } from "@chowhound/shared/service/run-service";
import { BundlePublisher } from "@chowhound/shared/stream/bundle-publisher";
import { listen } from "@chowhound/shared/stream/listen";
import { connectNats } from "@chowhound/shared/stream/nats-connection";
import { StageConsumer } from "@chowhound/shared/stream/stage-consumer";
import { awaitStream, maxMessageBytes, natsNames } from "@chowhound/shared/stream/topology";
import { jetstream } from "@nats-io/jetstream";
import type { DedupConfig } from "./config.ts";
import { createDeliveryHandler } from "./dedup-delivery.ts";
import { keepEvidence } from "./keep-evidence.ts";

const GIVE_BACK_MS = 1_000;

/** ENRICHED → UNIQUE, without the records that the store has reported committed. */
export function createDedup(config: DedupConfig, runtime: ServiceRuntime): Service {
  const { log, status, meter, tap, signal } = runtime;
  const names = natsNames(config.natsPrefix);
  const streamStatus = status.dependency("enriched-stream", { through: "nats" });
  const streamOptions = { maxBytes: config.streamMaxBytes, replicas: Number(config.streamReplicas) };
  /** What `start` has opened so far, in the order of opening; drain closes in the reverse one. */
  const opened: (() => Promise<void> | void)[] = [];
  let starting: Promise<void> | undefined;
  let consumer: StageConsumer | undefined;
  let isPaused = false;

  async function start(): Promise<void> {
    const evidence = await keepEvidence({
      dataDir: config.dataDir === "none" ? undefined : config.dataDir,
      name: config.natsPrefix,
      capacity: config.indexKeys,
      intervalMs: config.snapshotIntervalMs,
      log,
    });
    const { index, license } = evidence;
    const showIndex = (): void => {
      meter.set("chowhound.dedup.index.size", index.size);
      meter.set("chowhound.dedup.index.capacity", index.capacity);
      meter.set("chowhound.dedup.index.evictions", index.evictions);
    };
    showIndex();
    opened.push(() => evidence.close());

    const nc = await connectNats({
      urls: config.natsUrls,
      name: "chowhound-dedup",
      log,
      status,
      meter,
      signal,
    });
    opened.push(() => nc.close());
    await awaitStream(nc, names, "unique", streamOptions, { log, signal });

    const confirmation = createConfirmation({
      index,
      license,
      request: async (question) => {
        const answer = await nc.request(names.confirm, question, { timeout: config.confirmTimeoutMs });
        return answer.data;
      },
      onOutcome: (outcome) => {
        meter.count("chowhound.dedup.confirmations", 1, { "chowhound.outcome": outcome });
        showIndex();
        if (outcome === "void") log.warn("the database lacks batches it had committed: forgetting the index");
        else if (outcome === "rebound") log.info("the index holds for the database as it is now");
        else log.debug({ outcome }, "asked the store");
      },
    });
    listen(nc, names.commitNotices, {
      log,
      onMessage: (message) => {
        const outcome = absorbNotice(message.data, evidence);
        meter.count("chowhound.dedup.notices", 1, { "chowhound.outcome": outcome });
        showIndex();
        if (outcome === "revalidate") confirmation.ask(() => {});
        if (outcome === "malformed") log.warn("ignoring a malformed commit notice");
      },
    });

    const maxBytes = maxMessageBytes(nc);
    const publisher = new BundlePublisher({
      js: jetstream(nc),
      stream: names.stream("unique"),
      subjectOf: (partition) => names.subject("unique", partition),
      maxBytes,
      // What came in one message is ready in one turn. Whoever comes later has waited at the enricher.
      maxDistanceMs: 0,
      log,
      meter,
      signal,
    });
    const handle = createDeliveryHandler({
      index,
      confirmation,
      publish: (batch) => publisher.publish(batch),
      maxBytes,
      meter,
      tap,
      log,
    });
    const stage = new StageConsumer({
      nc,
      names,
      stream: "enriched",
      streamOptions,
      stage: "dedup",
      ackWaitMs: config.ackWaitMs,
      maxHeld: config.maxHeldBatches,
      log,
      meter,
      dependency: streamStatus,
      onDelivery: (delivery) => {
        handle(delivery).catch((error: Error) => {
          log.error({ err: error, ...delivery.trace?.logFields }, "a batch could not be handled: given back");
          delivery.giveBack(GIVE_BACK_MS);
        });
      },
    });
    consumer = stage;
    if (isPaused) stage.pause();
    opened.push(() => stage.drain());
    await stage.start();
  }

  return {
    start() {
      starting = start();
      return starting;
    },
    pause() {
      isPaused = true;
      consumer?.pause();
    },
    resume() {
      isPaused = false;
      consumer?.resume();
    },
    async drain() {
      // Ends its wait for the stream, too.
      const consumed = consumer?.drain();
      await starting?.catch(() => {});
      await consumed;
      for (const close of opened.reverse()) await close();
    },
    lag: async () => (await consumer?.lag()) ?? [],
  };
}
