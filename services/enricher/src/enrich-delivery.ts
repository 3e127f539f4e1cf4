import { setImmediate as nextTurn } from "node:timers/promises";
import { toBinary } from "@bufbuild/protobuf";
import { decodeBatch, REDUCED_ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import { wrapUndecodable } from "@chowhound/shared/batch/wrap-undecodable";
import {
  type PipelinesState,
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { DeadReason } from "@chowhound/shared/errors/reasons";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { PassedBatch } from "@chowhound/shared/stream/bundle-publisher";
import type { Delivery } from "@chowhound/shared/stream/delivery";
import { tapBatch } from "@chowhound/shared/tap/batch-source";
import type { Tap } from "@chowhound/shared/tap/tap";
import type { TapSource } from "@chowhound/shared/tap/tap-source";
import type { Meter } from "@chowhound/shared/telemetry/meter";
import { traceHeaderBytes } from "@chowhound/shared/telemetry/trace-header";
import { type Additions, appendAdditions, enrichBatch, type RawNumber } from "./enrich-batch.ts";
import type { PipelineSet } from "./pipeline-set.ts";
import type { SuspectTrial } from "./trial/suspect-trial.ts";

/** After more deliveries than these a batch is suspected to have ended the processes that had it. */
const MAX_UNSUSPECTED_ATTEMPTS = 3;
const NOT_READY_MS = 5_000;
const NEWER_ENVELOPE_MS = 5_000;
const NOT_ENRICHABLE_MS = 30_000;

export interface DeliveryHandlerOptions {
  /** The pipelines in force; undefined while nothing may be processed. */
  pipelines(): PipelineSet | undefined;
  /** Which state of all pipelines those in force are; undefined where that isn't known. */
  pipelinesState(): PipelinesState | undefined;
  /** Where batches are enriched that may have ended a process. */
  trial: Pick<SuspectTrial, "enrich">;
  /** Publishes to ENRICHED; resolves to false where it gave up because the process drains. */
  publish(batch: PassedBatch): Promise<boolean>;
  /** The largest message that `publish` takes. */
  maxBytes: number;
  meter: Meter;
  tap: Tap;
  log: Logger;
}

/**
 * Takes one batch in and passes one on. Batches are processed one in a turn of the event loop, so that a pile of them
 * holds up neither health nor the in-progress reports; any number of them may be on their way out.
 */
export function createDeliveryHandler(options: DeliveryHandlerOptions): (delivery: Delivery) => void {
  const { pipelines, pipelinesState, trial, publish, maxBytes, meter, tap, log } = options;
  const waiting: Delivery[] = [];
  let isWorking = false;

  async function work(): Promise<void> {
    isWorking = true;
    for (let delivery = waiting.shift(); delivery !== undefined; delivery = waiting.shift()) {
      await nextTurn();
      void pass(delivery);
    }
    isWorking = false;
  }

  async function pass(delivery: Delivery): Promise<void> {
    try {
      const out = await prepare(delivery);
      if (typeof out === "number") {
        delivery.giveBack(out);
      } else if (await publish({ ...out.passed, trace: delivery.trace })) {
        delivery.ack();
        out.count();
        if (tap.isOpen) tap.show(tapEnriched(out.batch()));
      } else {
        delivery.giveBack(0);
      }
    } catch (error) {
      log.error(
        { err: error, sequence: delivery.sequence, ...delivery.trace?.logFields },
        "given back: processing a batch failed",
      );
      delivery.giveBack(NOT_ENRICHABLE_MS);
    }
  }

  /** What to publish, or after how many milliseconds to try again. */
  function prepare(delivery: Delivery): Promise<Outgoing | number> | Outgoing | number {
    const { sequence } = delivery;
    const decoded = decodeBatch(delivery.bytes);
    if (decoded.kind === "newer") {
      log.warn(
        { sequence, envelopeVersion: decoded.envelopeVersion, ...delivery.trace?.logFields },
        "given back: written by newer software",
      );
      return NEWER_ENVELOPE_MS;
    }
    if (decoded.kind === "undecodable") return keepUndecodable(delivery, decoded.detail);
    if (!isRaw(decoded.batch)) return keepUndecodable(delivery, "it has been enriched already");
    const set = pipelines();
    if (set === undefined) return NOT_READY_MS;
    if (delivery.attempt > MAX_UNSUSPECTED_ATTEMPTS) return tryOut(delivery, decoded.batch);
    const additions = enrichBatch(decoded.batch, numberOf(delivery), set, { maxBytes });
    return passOn(delivery, decoded.batch, { ...additions, pipelinesState: pipelinesState() });
  }

  async function tryOut(delivery: Delivery, batch: RecordBatch): Promise<Outgoing | number> {
    const suspect = {
      message: delivery.bytes,
      records: batch.originals.length,
      origin: numberOf(delivery),
    };
    const added = await trial.enrich(suspect, maxBytes);
    return added === undefined ? 0 : passOn(delivery, batch, added);
  }

  function passOn(delivery: Delivery, batch: RecordBatch, added: Additions): Outgoing | number {
    // Whether calls are sampled changes nothing about records: the room is left in any case.
    const fitted = appendAdditions(delivery.bytes, added, maxBytes - traceHeaderBytes(batch.calls.length));
    if (fitted === undefined) return tooLarge(delivery);
    const { bytes, additions } = fitted;
    delivery.trace?.describe(batch);
    delivery.trace?.deadLettered(batch, additions.deadLabels);
    return {
      passed: { partition: batch.partition, bytes, records: batch.acceptedCount },
      batch: () => ({ ...batch, ...additions }),
      count() {
        meter.batch(batch.acceptedCount, bytes.length);
        meter.count("chowhound.records.enriched", additions.enrichments.length);
        for (const { reason } of additions.deadLabels)
          meter.count("chowhound.records.failed", 1, { "chowhound.reason": reason as DeadReason });
      },
    };
  }

  function keepUndecodable(delivery: Delivery, why: string): Outgoing | number {
    const { sequence } = delivery;
    const wrapped = wrapUndecodable(delivery.bytes, numberOf(delivery), delivery.storedAtMs, "enricher", why);
    const bytes = toBinary(RecordBatchSchema, wrapped);
    if (bytes.length > maxBytes) return tooLarge(delivery);
    log.error(
      { sequence, why, ...delivery.trace?.logFields },
      "a message is no batch of a gateway; it becomes a dead letter",
    );
    return {
      passed: { partition: 0, bytes, records: 1 },
      batch: () => wrapped,
      count() {
        meter.batch(1, bytes.length);
        meter.count("chowhound.records.failed", 1, { "chowhound.reason": "undecodable_batch" });
      },
    };
  }

  /** Gateways leave room; this came from something else, and to cut it would be to lose it. */
  function tooLarge({ sequence, bytes, trace }: Delivery): number {
    log.error(
      { sequence, bytes: bytes.length, maxBytes, ...trace?.logFields },
      "given back: too large to be passed on",
    );
    return NOT_ENRICHABLE_MS;
  }

  return (delivery) => {
    waiting.push(delivery);
    if (!isWorking) void work();
  };
}

interface Outgoing {
  passed: Omit<PassedBatch, "trace">;
  /** What its bytes say. */
  batch(): RecordBatch;
  /** Once it is safe downstream. */
  count(): void;
}

function tapEnriched(batch: RecordBatch): TapSource {
  return tapBatch(batch, { outcomeOf: (_, cause) => (cause === undefined ? "enriched" : "dead_lettered") });
}

function numberOf({ epoch, sequence }: Delivery): RawNumber {
  return { epoch, sequence: BigInt(sequence) };
}

/** To append to a batch that has what only later stages add would garble it. */
function isRaw(batch: RecordBatch): boolean {
  const { origin, pipelines, pipelineOf, enrichments, fingerprints, deadLabels, dropped } = batch;
  const added = [pipelines, pipelineOf, enrichments, fingerprints, deadLabels];
  const isOfTheGateway = batch.envelopeVersion === REDUCED_ENVELOPE_VERSION || dropped.length === 0;
  return origin === undefined && isOfTheGateway && added.every(({ length }) => length === 0);
}
