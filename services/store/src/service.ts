import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import { wrapUndecodable } from "@chowhound/shared/batch/wrap-undecodable";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { ExtraService } from "@chowhound/shared/rpc/admin-server";
import { DEPENDENCY_BACKOFF, retryUntil } from "@chowhound/shared/runtime/backoff";
import type { ConfigOf } from "@chowhound/shared/runtime/config";
import type { Service, ServiceRuntime } from "@chowhound/shared/service/run-service";
import type { Delivery } from "@chowhound/shared/stream/delivery";
import type { Listening } from "@chowhound/shared/stream/listen";
import { connectNats } from "@chowhound/shared/stream/nats-connection";
import { StageConsumer } from "@chowhound/shared/stream/stage-consumer";
import { natsNames } from "@chowhound/shared/stream/topology";
import type { NatsConnection } from "@nats-io/transport-node";
import { createAuditor } from "./audit.ts";
import { createAuditService } from "./audit-service.ts";
import { BatchGrouper } from "./batch-grouper.ts";
import { answerCommitDurability, readCommitDurability, watchCommitDurability } from "./commit-durability.ts";
import { sendCommitNotice } from "./commit-notices.ts";
import type { settings } from "./config.ts";
import { answerConfirmations } from "./confirm-responder.ts";
import { createDeadLetterService } from "./dead-letter-service.ts";
import type { IngestionSink } from "./ingestion-writer.ts";
import { keepCompact } from "./keep-compact.ts";
import { PostgresSink } from "./postgres-sink.ts";
import { probeSink } from "./probe-sink.ts";
import { answerQueries, type QueryResponder } from "./query-responder.ts";
import { createReplay } from "./replay.ts";
import { watchForRewind } from "./rewind-watch.ts";
import { showConnections } from "./show-connections.ts";
import { showOpenLetters } from "./show-open-letters.ts";
import { showVerdicts } from "./show-verdicts.ts";
import { SinkHealth } from "./sink-health.ts";
import { WriteLanes } from "./write-lanes.ts";

export type StoreConfig = ConfigOf<typeof settings>;

/** Deliveries after which a batch is written alone, so that it can't take others down with it. */
const ALONE_AFTER_ATTEMPTS = 3;
/** Longer than a transaction takes that waits for nothing. */
const PATIENCE_MS = 100;
const NEWER_ENVELOPE_MS = 5_000;

/** The store: works off UNIQUE, writes groups of batches, acknowledges after the commit, then tells dedup and the gateways. */
export function createStore(
  config: StoreConfig,
  runtime: ServiceRuntime,
  sink: IngestionSink = new PostgresSink({
    url: config.databaseUrl,
    statementTimeoutMs: config.statementTimeoutMs,
    readers: config.readers,
    log: runtime.log,
  }),
): Service {
  const { log, status, meter, tap, signal } = runtime;
  const names = natsNames(config.natsPrefix);
  const sinkHealth = new SinkHealth(status.dependency(sink.name));
  const streamStatus = status.dependency("unique-stream", { through: "nats" });
  const writers = Array.from({ length: config.writers }, (_, lane) => sink.createWriter(lane));
  let nc: NatsConnection | undefined;
  let consumer: StageConsumer | undefined;
  let confirmations: Listening | undefined;
  let queries: QueryResponder | undefined;
  let isPaused = false;

  const lanes = new WriteLanes({
    writers,
    grouper: new BatchGrouper({
      maxRecords: config.groupRecords,
      maxBytes: config.groupBytes,
      lingerMs: config.lingerMs,
      patienceMs: Math.max(config.lingerMs, PATIENCE_MS),
    }),
    signal,
    log,
    meter,
    health: sinkHealth,
    onCommitted: (result, batches) => {
      try {
        if (nc !== undefined) sendCommitNotice(nc, names, result, batches);
        if (tap.isOpen) showVerdicts(tap, result, batches);
      } catch (error) {
        // It is committed all the same.
        log.warn({ why: (error as Error).message }, "could not tell of a commit");
      }
    },
  });

  showConnections(meter, {
    writers: () => ({ used: lanes.busy, idle: writers.length - lanes.busy }),
    readers: sink.readConnections?.bind(sink),
  });

  const adminServices: ExtraService[] = [];
  if (sink.deadLetters !== undefined) {
    const archive = sink.deadLetters;
    showOpenLetters(meter, archive);
    const replay = createReplay({ archive, nc: () => nc, names, meter, log, signal });
    adminServices.push(createDeadLetterService(archive, replay, log));
  }

  if (sink.ledger !== undefined) {
    const { ledger } = sink;
    const auditor = createAuditor({ ledger, nc: () => nc, names, signal });
    const { keepInvoicesMs } = config;
    adminServices.push(createAuditService({ auditor, ledger, keepInvoicesMs, log, signal }));
  }

  const onDelivery = (delivery: Delivery): void => {
    const decoded = decodeBatch(delivery.bytes);
    if (decoded.kind === "newer") {
      log.warn(
        { envelopeVersion: decoded.envelopeVersion, ...delivery.trace?.logFields },
        "given back: written by newer software",
      );
      delivery.giveBack(NEWER_ENVELOPE_MS);
      return;
    }
    const batch = decoded.kind === "batch" && decoded.batch.origin !== undefined ? decoded.batch : undefined;
    if (batch === undefined) {
      log.error(
        { sequence: delivery.sequence, ...delivery.trace?.logFields },
        "a message is no batch of this mesh; it becomes a dead letter",
      );
    }
    const kept =
      batch ?? keepWhole(delivery, decoded.kind === "undecodable" ? decoded.detail : "not enriched");
    delivery.trace?.describe(kept);
    lanes.add({
      batch: kept,
      delivery,
      // A batch without any has its price, too.
      records: Math.max(1, kept.originals.length),
      bytes: kept.originals.reduce((sum, { length }) => sum + length, 0),
      alone: delivery.attempt > ALONE_AFTER_ATTEMPTS,
    });
  };

  const openWriters = async (): Promise<void> => {
    const openAll = async (): Promise<void> => {
      for (const writer of writers) await writer.open();
    };
    await retryUntil(openAll, {
      signal,
      backoff: DEPENDENCY_BACKOFF,
      onFailure: (error, retryInMs) => {
        const why = (error as Error).message;
        sinkHealth.probed(why);
        log.warn({ why, retryInMs }, `waiting for ${sink.name}`);
      },
    });
    sinkHealth.probed(undefined);
    log.info({ writers: writers.length }, `connected to ${sink.name}`);
  };

  return {
    async start() {
      const connecting = connectNats({
        urls: config.natsUrls,
        name: "chowhound-store",
        log,
        status,
        meter,
        signal,
      });
      [nc] = await Promise.all([connecting, openWriters()]);
      confirmations = answerConfirmations(nc, names, sink, log);
      if (sink.reader !== undefined) queries = answerQueries(nc, names, sink.reader, log);
      answerCommitDurability(nc, names, sink, log);
      void watchCommitDurability(sink, { log, signal });
      void probeSink(sink, sinkHealth, { log, signal });
      if (sink.ledger !== undefined) {
        void watchForRewind({ ledger: sink.ledger, nc, names, meter, log, signal });
        void keepCompact(sink.ledger, { keepMs: config.keepInvoicesMs, log, signal });
      }
      consumer = new StageConsumer({
        nc,
        names,
        stream: "unique",
        streamOptions: { maxBytes: config.streamMaxBytes, replicas: Number(config.streamReplicas) },
        stage: "store",
        ackWaitMs: config.ackWaitMs,
        maxHeld: config.maxHeld,
        log,
        meter,
        dependency: streamStatus,
        onDelivery,
      });
      if (isPaused) consumer.pause();
      await consumer.start();
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
      await Promise.all([consumer?.drain(), queries?.stop()]);
      await confirmations?.stop();
      await nc?.close();
      await Promise.all([...writers.map((writer) => writer.close()), sink.close()]);
    },
    lag: async () => (await consumer?.lag()) ?? [],
    durability: async () => ({ commit: await readCommitDurability(sink) }),
    adminServices,
  };
}

/**
 * What is no batch, as a batch of one dead record. Its epoch is negative: the number is none of RAW, but the message's, and above its
 * 48 bits the place in it, so that two of one message are two.
 */
function keepWhole({ bytes, epoch, sequence, place, storedAtMs }: Delivery, why: string): RecordBatch {
  const number = BigInt(sequence) + (BigInt(place) << 48n);
  return wrapUndecodable(bytes, { epoch: -epoch, sequence: number }, storedAtMs, "store", why);
}
