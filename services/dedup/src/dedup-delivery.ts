import { toBinary } from "@bufbuild/protobuf";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import {
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { Meter } from "@chowhound/shared/runtime/meter";
import type { Delivery } from "@chowhound/shared/stream/stage-consumer";
import type { StageTrace } from "@chowhound/shared/telemetry/stage-trace";
import type { Confirmation } from "./confirm-generation.ts";
import { dropRecords } from "./drop-records.ts";
import { findCommitted } from "./find-committed.ts";
import type { FingerprintIndex } from "./fingerprint-index.ts";

/** How long a batch of newer software waits for a replica that understands it. */
const NEWER_DELAY_MS = 5_000;

export interface DeliveryHandlerOptions {
  index: FingerprintIndex;
  confirmation: Confirmation;
  /** Publishes to UNIQUE; resolves to false where it gave up because the process drains. */
  publish(partition: number, bytes: Uint8Array, trace: StageTrace | undefined): Promise<boolean>;
  /** The largest message that `publish` takes. */
  maxBytes: number;
  meter: Meter;
  log: Logger;
}

/** Takes one batch in and passes one on, without what the store has committed. In doubt everything passes. */
export function createDeliveryHandler(
  options: DeliveryHandlerOptions,
): (delivery: Delivery) => Promise<void> {
  const { index, confirmation, publish, maxBytes, meter, log } = options;

  /** What to drop, permitted by the store. */
  function findDrops(batch: RecordBatch): Promise<number[]> | number[] {
    const candidates = findCommitted(batch, index);
    if (candidates.length === 0) return candidates;
    meter.count("candidates", candidates.length);
    // Looked up again inside the answer: only what the index holds then is covered by it.
    return new Promise((resolve) => {
      confirmation.ask((mayDrop) => resolve(mayDrop ? findCommitted(batch, index) : []));
    });
  }

  /** The message to pass on and how many records it lacks. */
  async function reduce(
    batch: RecordBatch,
    bytes: Uint8Array,
  ): Promise<{ bytes: Uint8Array; dropped: number }> {
    const whole = { bytes, dropped: 0 };
    try {
      const drops = await findDrops(batch);
      if (drops.length === 0) return whole;
      const reduced = toBinary(RecordBatchSchema, dropRecords(batch, drops));
      // Places and counts can outweigh what few small records weighed.
      return reduced.length > maxBytes ? whole : { bytes: reduced, dropped: drops.length };
    } catch (error) {
      log.warn({ err: error }, "passing a batch on whole");
      return whole;
    }
  }

  return async (delivery) => {
    const decoded = decodeBatch(delivery.bytes);
    if (decoded.kind === "newer") {
      log.warn({ envelopeVersion: decoded.envelopeVersion }, "giving a batch of newer software back");
      delivery.giveBack(NEWER_DELAY_MS);
      return;
    }
    if (decoded.kind === "undecodable") {
      log.warn({ sequence: delivery.sequence, why: decoded.detail }, "passing on what is no batch");
      settle(delivery, await publish(0, delivery.bytes, delivery.trace));
      return;
    }
    const { batch } = decoded;
    const { bytes, dropped } = await reduce(batch, delivery.bytes);
    delivery.trace?.describe(batch);
    delivery.trace?.setBatchAttributes({ "chowhound.records.dropped": dropped });
    const isPublished = await publish(batch.partition, bytes, delivery.trace);
    settle(delivery, isPublished);
    if (!isPublished) return;
    meter.batch(batch.originals.length);
    meter.count("dropped", dropped);
    meter.count("passed", batch.originals.length - dropped);
  };
}

function settle(delivery: Delivery, isPublished: boolean): void {
  if (isPublished) delivery.ack();
  else delivery.giveBack(0);
}
