import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import type {
  PipelinesState,
  RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { absorbNotice } from "@chowhound/shared/evidence/commit-notices";
import { createConfirmation } from "@chowhound/shared/evidence/confirm-generation";
import { createDropLicense } from "@chowhound/shared/evidence/drop-license";
import type { Evidence } from "@chowhound/shared/evidence/evidence";
import { createFingerprintIndex, type FingerprintIndex } from "@chowhound/shared/evidence/fingerprint-index";
import { HASH_BYTES } from "@chowhound/shared/record/content-hash";
import { natsNames } from "@chowhound/shared/stream/topology";
import { Tap } from "@chowhound/shared/tap/tap";
import { Meter } from "@chowhound/shared/telemetry/meter";
import type { NatsConnection } from "@nats-io/transport-node";
import { pino } from "pino";
import { createDeliveryHandler } from "../../services/dedup/src/dedup-delivery.ts";
import { appendAdditions, enrichBatch } from "../../services/enricher/src/enrich-batch.ts";
import type { PipelineSet } from "../../services/enricher/src/pipeline-set.ts";
import { sendCommitNotice } from "../../services/store/src/commit-notices.ts";
import type { WriteResult } from "../../services/store/src/ingestion-writer.ts";
import { answerQuestion } from "./answer-question.ts";
import type { ModelDatabase } from "./model-database.ts";
import type { Rules } from "./rules.ts";
import { Life, type Steps } from "./steps.ts";
import type { QueuedMessage, WorkQueue } from "./work-queue.ts";

const EPOCH = 7n;
const MAX_BYTES = 1_000_000;
const MAX_HELD = 3;
const INDEX_CAPACITY = 150;
const SILENT = { meter: new Meter("dedup"), tap: new Tap(), log: pino({ enabled: false }) };

/** What the processes of one mesh share. */
export interface Surroundings {
  steps: Steps;
  rules: Rules;
  raw: WorkQueue;
  enriched: WorkQueue;
  unique: WorkQueue;
  database: ModelDatabase;
  /** The pipelines in force by now. */
  pipelines(): PipelineSet;
  /** Which state of them that is. */
  pipelinesState(): PipelinesState;
  /** A notice of the store goes out to every dedup and the gateway. */
  notify(notice: Uint8Array): void;
  onWritten(batches: readonly RecordBatch[], result: WriteResult): void;
}

/** One replica of a stage. */
export abstract class ModelStage {
  protected readonly mesh: Surroundings;
  protected life = new Life();
  readonly #from: WorkQueue;
  readonly #held = new Set<number>();

  constructor(mesh: Surroundings, from: WorkQueue) {
    this.mesh = mesh;
    this.#from = from;
  }

  /** What it could begin by now. */
  get options(): (() => void)[] {
    const canTake = this.#held.size < MAX_HELD && this.#from.waiting > 0;
    return canTake ? [() => this.#take()] : [];
  }

  /** Ends this incarnation at whatever it is doing, and begins the next. */
  kill(): void {
    this.mesh.steps.kill(this.life);
    for (const sequence of this.#held) this.#from.redeliver(sequence);
    this.#held.clear();
    this.life = new Life();
  }

  #take(): void {
    const message = this.#from.take();
    this.#held.add(message.sequence);
    this.work(message);
  }

  protected abstract work(message: QueuedMessage): void;

  protected acknowledge(life: Life, { sequence }: QueuedMessage): void {
    const { steps } = this.mesh;
    const acknowledged = steps.turn(life, "acknowledge").then(() => {
      this.#held.delete(sequence);
      this.#from.acknowledge(sequence);
    });
    steps.runs(acknowledged);
  }
}

export class ModelEnricher extends ModelStage {
  constructor(mesh: Surroundings) {
    super(mesh, mesh.raw);
  }

  protected work(message: QueuedMessage): void {
    this.mesh.steps.runs(this.#pass(this.life, message));
  }

  async #pass(life: Life, message: QueuedMessage): Promise<void> {
    const { steps, rules, enriched, pipelines, pipelinesState } = this.mesh;
    const number = { epoch: EPOCH, sequence: BigInt(message.sequence) };
    const added = enrichBatch(batchOf(message.bytes), number, pipelines(), { maxBytes: MAX_BYTES });
    const additions = { ...added, pipelinesState: pipelinesState() };
    const { bytes } = appendAdditions(message.bytes, additions, MAX_BYTES)!;
    if (rules.acknowledges === "beforehand") this.acknowledge(life, message);
    await steps.turn(life, "publish");
    enriched.publish(bytes);
    if (rules.acknowledges === "afterwards") this.acknowledge(life, message);
  }
}

export class ModelDedup extends ModelStage {
  #evidence: Evidence = newEvidence();
  #handle = this.#begin();
  /** Notices on their way to it. */
  readonly inbox: Uint8Array[] = [];

  constructor(mesh: Surroundings) {
    super(mesh, mesh.enriched);
  }

  /** @param keepsEvidence it has saved its index in time */
  override kill(keepsEvidence = false): void {
    super.kill();
    this.#evidence = newEvidence(keepsEvidence ? this.#evidence : undefined);
    this.#handle = this.#begin();
  }

  protected work(message: QueuedMessage): void {
    this.#handle(message);
  }

  /** The next notice comes in. */
  hear(notice: Uint8Array): void {
    if (absorbNotice(notice, this.#evidence) === "revalidate") this.#handle.ask();
  }

  #begin() {
    const { mesh, life } = this;
    const { steps, rules, unique } = mesh;
    const evidence = this.#evidence;
    const { index } = evidence;
    const confirmation = createConfirmation({
      ...evidence,
      request: (question) => answerQuestion(question, life, mesh, rules.asksTheDatabase),
      onOutcome: () => {},
    });
    const trusting = { ask: (onAnswer: (mayDrop: boolean) => void) => onAnswer(true) };
    const handleDelivery = createDeliveryHandler({
      index,
      confirmation: rules.evidence === "committed" ? confirmation : trusting,
      publish: async ({ bytes }) => {
        await steps.turn(life, "publish");
        unique.publish(bytes);
        return true;
      },
      maxBytes: MAX_BYTES,
      ...SILENT,
    });
    const handle = (message: QueuedMessage): void => {
      const acknowledge = (): void => this.acknowledge(life, message);
      const isEarly = rules.acknowledges === "beforehand";
      if (isEarly) acknowledge();
      const handled = handleDelivery({
        ...message,
        epoch: EPOCH,
        place: 0,
        storedAtMs: 0,
        ack: isEarly ? () => {} : acknowledge,
        giveBack: () => {
          throw new Error("nothing here is given back");
        },
      });
      const after = (): void => {
        if (rules.evidence === "published") addAll(index, batchOf(message.bytes));
      };
      steps.runs(handled.then(after));
    };
    return Object.assign(handle, { ask: () => confirmation.ask(() => {}) });
  }
}

export class ModelStore extends ModelStage {
  #waiting: QueuedMessage[] = [];
  #isWriting = false;

  constructor(mesh: Surroundings) {
    super(mesh, mesh.unique);
  }

  override get options(): (() => void)[] {
    const canWrite = this.#waiting.length > 0 && !this.#isWriting;
    return canWrite ? [...super.options, () => this.#write(this.life)] : super.options;
  }

  override kill(): void {
    super.kill();
    this.#waiting = [];
    this.#isWriting = false;
  }

  protected work(message: QueuedMessage): void {
    this.#waiting.push(message);
  }

  #write(life: Life): void {
    const group = this.#waiting.splice(0);
    this.#isWriting = true;
    const written = this.#writeGroup(life, group).then(() => {
      this.#isWriting = false;
    });
    this.mesh.steps.runs(written);
  }

  async #writeGroup(life: Life, group: readonly QueuedMessage[]): Promise<void> {
    const { steps, rules, database, notify, onWritten } = this.mesh;
    const acknowledgeAll = (): void => {
      for (const message of group) this.acknowledge(life, message);
    };
    if (rules.acknowledges === "beforehand") acknowledgeAll();
    // A kill before this turn is one in the middle of the transaction: nothing of it is there.
    await steps.turn(life, "commit");
    const batches = group.map(({ bytes }) => batchOf(bytes));
    const result = database.write(batches);
    onWritten(batches, result);
    if (rules.acknowledges === "afterwards") acknowledgeAll();
    await steps.turn(life, "notice");
    const nats = { isClosed: () => false, publish: (_subject: string, notice: Uint8Array) => notify(notice) };
    sendCommitNotice(nats as unknown as NatsConnection, natsNames("model"), result, batches);
  }
}

function batchOf(bytes: Uint8Array): RecordBatch {
  const decoded = decodeBatch(bytes);
  if (decoded.kind !== "batch") throw new Error(`a message is ${decoded.kind}`);
  return decoded.batch;
}

/** What a dedup knows at its start: nothing, or what it had saved. */
function newEvidence(saved?: Evidence): Evidence {
  const index = createFingerprintIndex({ capacity: INDEX_CAPACITY });
  if (saved === undefined) return { index, license: createDropLicense() };
  const bytes = new Uint8Array(index.bytes);
  saved.index.copyOut(0, bytes);
  index.copyIn(0, bytes);
  return { index, license: createDropLicense({ binding: saved.license.binding() }) };
}

function addAll(index: FingerprintIndex, { fingerprints }: RecordBatch): void {
  for (let at = 0; at < fingerprints.length; at += HASH_BYTES) index.add(fingerprints, at);
}
