import { setImmediate as nextTurn } from "node:timers/promises";
import { toBinary } from "@bufbuild/protobuf";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import { wrapUndecodable } from "@chowhound/shared/batch/wrap-undecodable";
import {
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { Meter } from "@chowhound/shared/runtime/meter";
import type { Delivery } from "@chowhound/shared/stream/stage-consumer";
import type { StageTrace } from "@chowhound/shared/telemetry/stage-trace";
import { appendAdditions, enrichBatch, type RawNumber } from "./enrich-batch.ts";
import type { PipelineSet } from "./pipeline-set.ts";

/** After more deliveries than these a batch is suspected to have ended the processes that had it. */
const MAX_UNSUSPECTED_ATTEMPTS = 3;
const NOT_READY_MS = 5_000;
const NEWER_ENVELOPE_MS = 5_000;
const NOT_ENRICHABLE_MS = 30_000;

export interface DeliveryHandlerOptions {
  /** The pipelines in force; undefined while nothing may be processed. */
  pipelines(): PipelineSet | undefined;
  /** Publishes to ENRICHED; resolves to false where it gave up because the process drains. */
  publish(partition: number, bytes: Uint8Array, trace: StageTrace | undefined): Promise<boolean>;
  /** The largest message that `publish` takes. */
  maxBytes: number;
  meter: Meter;
  log: Logger;
}

/**
 * Takes one message in and publishes one. Batches are processed one in a turn of the event loop, so that a pile of them
 * holds up neither health nor the in-progress reports; any number of them may be on their way out.
 */
export function createDeliveryHandler(options: DeliveryHandlerOptions): (delivery: Delivery) => void {
  const { pipelines, publish, maxBytes, meter, log } = options;
  const waiting: Delivery[] = [];
  const inFlight = new Set<Promise<void>>();
  let isWorking = false;

  async function work(): Promise<void> {
    isWorking = true;
    for (let delivery = waiting.shift(); delivery !== undefined; delivery = waiting.shift()) {
      await nextTurn();
      // A record that kills the process must not take other batches with it, again and again.
      const isSuspect = delivery.attempt > MAX_UNSUSPECTED_ATTEMPTS;
      if (isSuspect) await Promise.all(inFlight);
      const passing = pass(delivery);
      inFlight.add(passing);
      void passing.then(() => inFlight.delete(passing));
      if (isSuspect) await passing;
    }
    isWorking = false;
  }

  async function pass(delivery: Delivery): Promise<void> {
    try {
      const out = prepare(delivery);
      if (typeof out === "number") {
        delivery.giveBack(out);
      } else if (await publish(out.partition, out.bytes, delivery.trace)) {
        delivery.ack();
        out.count();
      } else {
        delivery.giveBack(0);
      }
    } catch (error) {
      log.error({ err: error, sequence: delivery.sequence }, "given back: processing a batch failed");
      delivery.giveBack(NOT_ENRICHABLE_MS);
    }
  }

  /** What to publish, or after how many milliseconds to try again. */
  function prepare(delivery: Delivery): Outgoing | number {
    const { sequence } = delivery;
    const decoded = decodeBatch(delivery.bytes);
    if (decoded.kind === "newer") {
      log.warn(
        { sequence, envelopeVersion: decoded.envelopeVersion },
        "given back: written by newer software",
      );
      return NEWER_ENVELOPE_MS;
    }
    if (decoded.kind === "undecodable") return keepUndecodable(delivery, decoded.detail);
    if (!isRaw(decoded.batch)) return keepUndecodable(delivery, "it has been enriched already");
    return enrich(delivery, decoded.batch);
  }

  function enrich(delivery: Delivery, batch: RecordBatch): Outgoing | number {
    const set = pipelines();
    if (set === undefined) return NOT_READY_MS;
    const fitted = appendAdditions(delivery.bytes, enrichBatch(batch, numberOf(delivery), set), maxBytes);
    if (fitted === undefined) return tooLarge(delivery);
    const { bytes, additions } = fitted;
    delivery.trace?.describe(batch);
    delivery.trace?.deadLettered(batch, additions.deadLabels);
    return {
      partition: batch.partition,
      bytes,
      count() {
        meter.batch(batch.originals.length);
        meter.count("enriched", additions.enrichments.length);
        for (const { reason } of additions.deadLabels) meter.count(`dead.${reason}`);
      },
    };
  }

  function keepUndecodable(delivery: Delivery, why: string): Outgoing | number {
    const { sequence } = delivery;
    const wrapped = wrapUndecodable(delivery.bytes, numberOf(delivery), delivery.storedAtMs, "enricher", why);
    const bytes = toBinary(RecordBatchSchema, wrapped);
    if (bytes.length > maxBytes) return tooLarge(delivery);
    log.error({ sequence, why }, "a message is no batch of a gateway; it becomes a dead letter");
    return {
      partition: 0,
      bytes,
      count() {
        meter.batch(1);
        meter.count("dead.undecodable_batch");
      },
    };
  }

  /** Gateways leave room; this came from something else, and to cut it would be to lose it. */
  function tooLarge({ sequence, bytes }: Delivery): number {
    log.error({ sequence, bytes: bytes.length, maxBytes }, "given back: too large to be passed on");
    return NOT_ENRICHABLE_MS;
  }

  return (delivery) => {
    waiting.push(delivery);
    if (!isWorking) void work();
  };
}

interface Outgoing {
  partition: number;
  bytes: Uint8Array;
  /** Once it is safe downstream. */
  count(): void;
}

function numberOf({ epoch, sequence }: Delivery): RawNumber {
  return { epoch, sequence: BigInt(sequence) };
}

/** To append to a batch that has what only later stages add would garble it. */
function isRaw(batch: RecordBatch): boolean {
  const { origin, pipelines, pipelineOf, enrichments, fingerprints, deadLabels, dropped } = batch;
  const added = [pipelines, pipelineOf, enrichments, fingerprints, deadLabels, dropped];
  return origin === undefined && added.every(({ length }) => length === 0);
}
