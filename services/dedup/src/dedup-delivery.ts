import { toBinary } from "@bufbuild/protobuf";
import { isReplay } from "@chowhound/shared/batch/batch-columns";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import { type PackedBatch, packBatch, peekPacked } from "@chowhound/shared/batch/pack-batch";
import {
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { Confirmation } from "@chowhound/shared/evidence/confirm-generation";
import type { FingerprintIndex } from "@chowhound/shared/evidence/fingerprint-index";
import { HASH_BYTES } from "@chowhound/shared/record/content-hash";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { PassedBatch } from "@chowhound/shared/stream/bundle-publisher";
import type { Delivery } from "@chowhound/shared/stream/delivery";
import { tapBatch } from "@chowhound/shared/tap/batch-source";
import type { Tap } from "@chowhound/shared/tap/tap";
import type { TapSource } from "@chowhound/shared/tap/tap-source";
import type { Meter } from "@chowhound/shared/telemetry/meter";
import { traceHeaderBytes } from "@chowhound/shared/telemetry/trace-header";
import { dropRecords } from "./drop-records.ts";
import { findCommitted, holdsAny } from "./find-committed.ts";

/** How long a batch of newer software waits for a replica that understands it. */
const NEWER_DELAY_MS = 5_000;

export interface DeliveryHandlerOptions {
  index: FingerprintIndex;
  confirmation: Confirmation;
  /** Publishes to UNIQUE; resolves to false where it gave up because the process drains. */
  publish(batch: PassedBatch): Promise<boolean>;
  /** The largest message that `publish` takes. */
  maxBytes: number;
  meter: Meter;
  tap: Tap;
  log: Logger;
}

/** Takes one batch in and passes one on, without what the store has committed. In doubt everything passes. */
export function createDeliveryHandler(
  options: DeliveryHandlerOptions,
): (delivery: Delivery) => Promise<void> {
  const { index, confirmation, publish, maxBytes, meter, tap, log } = options;

  /** What to drop, permitted by the store. */
  function findDrops(batch: RecordBatch): Promise<number[]> | number[] {
    // A replay goes through to the books: they have to settle its letters.
    if (isReplay(batch)) return [];
    const candidates = findCommitted(batch, index);
    if (candidates.length === 0) return candidates;
    meter.count("chowhound.dedup.candidates", candidates.length);
    // Looked up again inside the answer: only what the index holds then is covered by it.
    return new Promise((resolve) => {
      confirmation.ask((mayDrop) => resolve(mayDrop ? findCommitted(batch, index) : []));
    });
  }

  /** The message to pass on and which records it lacks. */
  async function reduce(
    batch: RecordBatch,
    { bytes, trace }: Delivery,
  ): Promise<{ bytes: Uint8Array; drops: number[] }> {
    const whole = { bytes, drops: [] };
    try {
      const drops = await findDrops(batch);
      if (drops.length === 0) return whole;
      const reduced = packBatch(toBinary(RecordBatchSchema, dropRecords(batch, drops)), batch);
      // Places and counts can outweigh what few small records weighed.
      const isTooLarge = reduced.length > maxBytes - traceHeaderBytes(batch.calls.length);
      return isTooLarge ? whole : { bytes: reduced, drops };
    } catch (error) {
      log.warn({ err: error, ...trace?.logFields }, "passing a batch on whole");
      return whole;
    }
  }

  /** Passes a batch on as it is, where its fingerprints alone show that the store has none of its records. */
  async function passAllNew(delivery: Delivery): Promise<boolean> {
    // Spans and the tap tell what only the whole batch knows.
    if (delivery.trace !== undefined || tap.isOpen) return false;
    const packed = tryPeek(delivery.bytes);
    if (packed === undefined || holdsAny(index, packed.fingerprints)) return false;
    const { bytes } = delivery;
    const passed = packed.fingerprints.length / HASH_BYTES;
    const isPublished = await publish({
      partition: packed.partition,
      bytes,
      records: passed,
      trace: undefined,
    });
    settle(delivery, isPublished);
    if (isPublished) countPassed({ accepted: packed.acceptedCount || passed, passed, dropped: 0 }, bytes);
    return true;
  }

  function countPassed(
    { accepted, passed, dropped }: { accepted: number; passed: number; dropped: number },
    bytes: Uint8Array,
  ): void {
    meter.batch(accepted, bytes.length);
    meter.count("chowhound.dedup.dropped", dropped);
    meter.count("chowhound.dedup.passed", passed);
  }

  return async (delivery) => {
    if (await passAllNew(delivery)) return;
    const decoded = decodeBatch(delivery.bytes);
    if (decoded.kind === "newer") {
      log.warn(
        { envelopeVersion: decoded.envelopeVersion, ...delivery.trace?.logFields },
        "giving a batch of newer software back",
      );
      delivery.giveBack(NEWER_DELAY_MS);
      return;
    }
    if (decoded.kind === "undecodable") {
      log.warn(
        { sequence: delivery.sequence, why: decoded.detail, ...delivery.trace?.logFields },
        "passing on what is no batch",
      );
      const { bytes, trace } = delivery;
      const isPublished = await publish({ partition: 0, bytes, records: 1, trace });
      settle(delivery, isPublished);
      if (isPublished) meter.batch(1, bytes.length);
      return;
    }
    const { batch } = decoded;
    const { bytes, drops } = await reduce(batch, delivery);
    const dropped = drops.length;
    delivery.trace?.describe(batch);
    delivery.trace?.setBatchAttributes({ "chowhound.records.dropped": dropped });
    const passed = batch.originals.length - dropped;
    const { partition } = batch;
    const isPublished = await publish({ partition, bytes, records: passed, trace: delivery.trace });
    settle(delivery, isPublished);
    if (!isPublished) return;
    countPassed({ accepted: batch.acceptedCount, passed, dropped }, bytes);
    if (tap.isOpen) tap.show(tapReduced(batch, drops));
  };
}

/** What is malformed, or not enriched, is dealt with where it is decoded. */
function tryPeek(message: Uint8Array): PackedBatch | undefined {
  try {
    const packed = peekPacked(message);
    const bytes = packed?.fingerprints.length ?? 0;
    return bytes > 0 && bytes % HASH_BYTES === 0 ? packed : undefined;
  } catch {
    return undefined;
  }
}

/** @param drops the indices of the records that are not passed on */
function tapReduced(batch: RecordBatch, drops: readonly number[]): TapSource {
  const dropped = new Set(drops);
  return tapBatch(batch, { outcomeOf: (index) => (dropped.has(index) ? "duplicate" : "passed") });
}

function settle(delivery: Delivery, isPublished: boolean): void {
  if (isPublished) delivery.ack();
  else delivery.giveBack(0);
}
