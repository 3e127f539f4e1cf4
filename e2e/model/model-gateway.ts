import { randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { type AcceptedRecord, validateRecord } from "@chowhound/shared/record/validate-record";
import { Batcher } from "../../services/gateway/src/batcher.ts";
import { KnownRecord } from "../../services/gateway/src/known-record.ts";
import { Recall } from "../../services/gateway/src/recall.ts";
import { answerQuestion } from "./answer-question.ts";
import type { Surroundings } from "./model-stages.ts";
import { Life } from "./steps.ts";

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
const RECALL_CAPACITY = 150;
const START_MS = Date.UTC(2026, 0, 1);

/** The door, with real validation, real batching, and a real memory of what has landed. */
export class ModelGateway {
  readonly #mesh: Surroundings;
  readonly #onPublished: (batch: Uint8Array) => void;
  /** Notices on their way to it. */
  readonly inbox: Uint8Array[] = [];
  #life = new Life();
  #recall: Recall;
  #batcher: Batcher;

  constructor(mesh: Surroundings, onPublished: (batch: Uint8Array) => void) {
    this.#mesh = mesh;
    this.#onPublished = onPublished;
    this.#recall = this.#newRecall();
    this.#batcher = this.#newBatcher(this.#recall);
  }

  /** One call. Resolves with whether it was accepted; where it was not, its records may be in or not. */
  async ingest(call: SentCall): Promise<boolean> {
    const [life, batcher] = [this.#life, this.#batcher];
    const tenantId = tenantOf(call.tenant);
    const origin = { tenantId, receiptId: randomBytes(16), traceparent: "", tracestate: "" };
    const originals = call.records.map(encode);
    const recalled = await this.#recall.look(tenantId, originals);
    if (life.hasEnded) return false;
    const records = acceptedRecords(call).map((record, index) =>
      recalled.known?.[index] === 1 ? new KnownRecord(originals[index]!) : record,
    );
    return await batcher.submit(origin, records, recalled.fingerprints).then(
      () => true,
      () => false,
    );
  }

  /** The next notice comes in. */
  hear(notice: Uint8Array): void {
    this.#recall.hear(notice);
  }

  /** Whoever waits for an answer hears that the connection is lost. */
  kill(): void {
    this.#mesh.steps.kill(this.#life);
    this.#life = new Life();
    this.#recall = this.#newRecall();
    this.#batcher = this.#newBatcher(this.#recall);
  }

  #newRecall(): Recall {
    const life = this.#life;
    const { rules, pipelinesState } = this.#mesh;
    return new Recall({
      capacity: RECALL_CAPACITY,
      confirm: (question) => answerQuestion(question, life, this.#mesh, rules.gatewayAsksTheDatabase),
      pipelinesState: async () => pipelinesState(),
      unansweredPauseMs: 0,
      askIntervalMs: 0,
    });
  }

  #newBatcher(recall: Recall): Batcher {
    const life = this.#life;
    const { steps, raw } = this.#mesh;
    return new Batcher({
      maxRecords: BATCH_RECORDS,
      maxBytes: () => 100_000,
      // Nothing is sent because of the time.
      lingerMs: 0,
      partitionOf: () => 0,
      publish: async ({ message, batchId, fingerprints }) => {
        if (fingerprints !== undefined) recall.sent(batchId, fingerprints);
        await steps.turn(life, "publish");
        raw.publish(message);
        this.#onPublished(message);
        await steps.turn(life, "receipt");
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
