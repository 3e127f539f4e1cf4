import { randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { type AcceptedRecord, validateRecord } from "@chowhound/shared/record/validate-record";
import { Batcher } from "../../services/gateway/src/batcher.ts";
import { Life, type Steps } from "./steps.ts";
import type { WorkQueue } from "./work-queue.ts";

/** A record as a producer means it, in numbers small enough to meet often. */
export interface SentRecord {
  /** 0: none, which no pipeline mends; the record is to become a dead letter. */
  key: number;
  version: number;
  content: number;
  /** Which of the uuids that belong to the key, or of those that are anybody's; 0: the gateway assigns one. */
  uuid: number;
}

export interface SentCall {
  tenant: number;
  records: readonly SentRecord[];
}

const BATCH_RECORDS = 5;
const START_MS = Date.UTC(2026, 0, 1);

/** The door, with real validation and real batching. */
export class ModelGateway {
  readonly #steps: Steps;
  readonly #raw: WorkQueue;
  readonly #onPublished: (batch: Uint8Array) => void;
  #life = new Life();
  #batcher: Batcher;

  constructor(steps: Steps, raw: WorkQueue, onPublished: (batch: Uint8Array) => void) {
    this.#steps = steps;
    this.#raw = raw;
    this.#onPublished = onPublished;
    this.#batcher = this.#newBatcher();
  }

  /** One call. Resolves with whether it was accepted; where it was not, its records may be in or not. */
  async ingest(call: SentCall): Promise<boolean> {
    const tenantId = tenantOf(call.tenant);
    const origin = { tenantId, receiptId: randomBytes(16), traceparent: "", tracestate: "" };
    return await this.#batcher.submit(origin, acceptedRecords(call)).then(
      () => true,
      () => false,
    );
  }

  /** Whoever waits for an answer hears that the connection is lost. */
  kill(): void {
    this.#steps.kill(this.#life);
    this.#life = new Life();
    this.#batcher = this.#newBatcher();
  }

  #newBatcher(): Batcher {
    const life = this.#life;
    return new Batcher({
      maxRecords: BATCH_RECORDS,
      maxBytes: () => 100_000,
      // Nothing is sent because of the time.
      lingerMs: 0,
      partitionOf: () => 0,
      publish: async (_partition, batch) => {
        await this.#steps.turn(life, "publish");
        this.#raw.publish(batch);
        this.#onPublished(batch);
        await this.#steps.turn(life, "receipt");
      },
    });
  }
}

/** The records of a call, judged as at the door. */
export function acceptedRecords({ tenant, records }: SentCall): AcceptedRecord[] {
  const context = { tenantId: tenantOf(tenant), nowMs: Date.now(), maxRecordBytes: 100_000 };
  return records.map((record) => {
    const judged = validateRecord(encode(record), context);
    if (judged.kind === "rejected") throw new Error(`rejected: ${judged.message}`);
    return judged;
  });
}

export function tenantOf(number: number): string {
  return `tenant-${number}`;
}

function encode({ key, version, content, uuid }: SentRecord): Uint8Array {
  return toBinary(
    IngestionDataSchema,
    create(IngestionDataSchema, {
      sourceType: "forum",
      sourceId: "town-square",
      dataId: key === 0 ? "" : `key-${key}`,
      data: `content ${content}`,
      updatedAt: timestampFromMs(START_MS + version),
      uuid: uuid === 0 ? "" : `0198c0de-0000-7000-8000-${String(uuid).padStart(12, "0")}`,
    }),
  );
}
