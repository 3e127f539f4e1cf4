import { recordBytesLimit } from "@chowhound/shared/record/limits";
import type { Service, ServiceRuntime } from "@chowhound/shared/service/run-service";
import { BundlePublisher } from "@chowhound/shared/stream/bundle-publisher";
import { connectNats } from "@chowhound/shared/stream/nats-connection";
import { StageConsumer } from "@chowhound/shared/stream/stage-consumer";
import { awaitStream, maxMessageBytes, natsNames } from "@chowhound/shared/stream/topology";
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { EnricherConfig } from "./config.ts";
import { createDeliveryHandler } from "./enrich-delivery.ts";
import { createPipelineService } from "./pipeline-service.ts";
import { PipelineStore } from "./pipeline-store.ts";
import { SuspectTrial } from "./trial/suspect-trial.ts";

/** RAW → ENRICHED, each record processed by its tenant's pipeline. */
export function createEnricher(config: EnricherConfig, runtime: ServiceRuntime): Service {
  const { log, status, meter, tap, signal } = runtime;
  const names = natsNames(config.natsPrefix);
  const streamStatus = status.dependency("raw-stream", { through: "nats" });
  const streamOptions = { maxBytes: config.streamMaxBytes, replicas: Number(config.streamReplicas) };
  /** What `start` has opened so far, in the order of opening; drain closes in the reverse one. */
  const opened: (() => Promise<void>)[] = [];
  let starting: Promise<void> | undefined;
  let connection: NatsConnection | undefined;
  let consumer: StageConsumer | undefined;
  let isPaused = false;

  const pipelines = new PipelineStore({
    bucket: names.pipelinesBucket,
    replicas: streamOptions.replicas,
    dependency: status.dependency("pipelines"),
    log,
    signal,
    onChange() {
      meter.set("chowhound.pipelines.loaded", pipelines.size);
      pauseOrResume();
    },
  });

  /** Takes work only while nobody has paused it and all pipelines can be run. */
  function pauseOrResume(): void {
    if (isPaused || pipelines.inForce === undefined) consumer?.pause();
    else consumer?.resume();
  }

  /** What NATS takes; what it takes by default while it isn't known. */
  function limits() {
    const maxPayloadBytes = connection?.info?.max_payload ?? 1024 * 1024;
    return {
      maxRecordBytes: recordBytesLimit(maxPayloadBytes),
      maxMessageBytes: connection === undefined ? maxPayloadBytes : maxMessageBytes(connection),
    };
  }

  async function start(): Promise<void> {
    const nc = await connectNats({
      urls: config.natsUrls,
      name: "chowhound-enricher",
      log,
      status,
      meter,
      signal,
    });
    connection = nc;
    opened.push(() => nc.close());
    await awaitStream(nc, names, "enriched", streamOptions, { log, signal });
    opened.push(() => pipelines.close());
    await pipelines.start(nc);

    const maxBytes = maxMessageBytes(nc);
    const publisher = new BundlePublisher({
      js: jetstream(nc),
      stream: names.stream("enriched"),
      subjectOf: (partition) => names.subject("enriched", partition),
      maxBytes,
      maxDistanceMs: config.lingerMs,
      log,
      meter,
      signal,
    });
    consumer = new StageConsumer({
      nc,
      names,
      stream: "raw",
      streamOptions,
      stage: "enricher",
      ackWaitMs: config.ackWaitMs,
      maxHeld: config.maxHeldBatches,
      log,
      meter,
      dependency: streamStatus,
      onDelivery: createDeliveryHandler({
        pipelines: () => pipelines.inForce,
        pipelinesState: () => pipelines.state,
        trial: new SuspectTrial({ pipelines, log, signal }),
        publish: (batch) => publisher.publish(batch),
        maxBytes,
        meter,
        tap,
        log,
      }),
    });
    pauseOrResume();
    opened.push(consumer.drain.bind(consumer));
    await consumer.start();
  }

  return {
    start() {
      starting = start();
      return starting;
    },
    pause() {
      isPaused = true;
      pauseOrResume();
    },
    resume() {
      isPaused = false;
      pauseOrResume();
    },
    async drain() {
      // Ends its wait for the stream, too.
      const consumed = consumer?.drain();
      await starting?.catch(() => {});
      await consumed;
      for (const close of opened.reverse()) await close();
    },
    lag: async () => (await consumer?.lag()) ?? [],
    adminServices: [createPipelineService(pipelines, limits, { log, signal })],
  };
}
