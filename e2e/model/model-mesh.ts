import { setImmediate as nextTurn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import {
  PipelinesStateSchema,
  type RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { PipelineSet } from "../../services/enricher/src/pipeline-set.ts";
import type { WriteResult } from "../../services/store/src/ingestion-writer.ts";
import { hex, ModelDatabase } from "./model-database.ts";
import { ModelGateway, type SentCall } from "./model-gateway.ts";
import { SAME_IDENTITY } from "./model-pipelines.ts";
import { ModelDedup, ModelEnricher, ModelStore, type Surroundings } from "./model-stages.ts";
import { REAL_RULES, type Rules } from "./rules.ts";
import { Steps } from "./steps.ts";
import { WorkQueue } from "./work-queue.ts";

/** What happens next. `pick` chooses among what it can happen to, modulo their number. */
export interface HistoryEvent {
  kind:
    | "go on"
    | "send"
    | "kill"
    | "redeliver"
    | "lose a notice"
    | "double a notice"
    | "lose an answer"
    | "back up"
    | "restore"
    | "restart the database"
    | "change the pipeline";
  pick: number;
}

/** A transaction of the store: what went in and what came out. */
export interface Transaction {
  batches: readonly RecordBatch[];
  result: WriteResult;
}

/** How far the producer has come with a call. */
interface CallState {
  call: SentCall;
  isAccepted: boolean;
  /** Attempts without an answer yet. */
  onTheirWay: number;
}

/** Far more than any history of the size that is tried here takes. */
const MAX_STEPS = 20_000;

/** A producer that sends calls, two replicas of each stage, the streams between them, and the database. */
export class ModelMesh {
  readonly database: ModelDatabase;
  /** What the store has written, in its order. */
  readonly transactions: Transaction[] = [];
  /** How often what happened: to know that histories meet what they are meant to meet. */
  readonly seen = new Map<string, number>();
  readonly #steps = new Steps();
  readonly #raw = new WorkQueue();
  readonly #enriched = new WorkQueue();
  readonly #unique = new WorkQueue();
  readonly #gateway: ModelGateway;
  readonly #enrichers: ModelEnricher[];
  readonly #dedups: ModelDedup[];
  readonly #stores: ModelStore[];
  readonly #calls: CallState[];
  readonly #pipelines: readonly PipelineSet[];
  #published: { batchId: string; accepted: number }[] = [];
  #backup;
  #pipelineVersion = 0;

  /** @param pipelines version after version */
  constructor(
    calls: readonly SentCall[],
    rules: Rules = REAL_RULES,
    pipelines: readonly PipelineSet[] = SAME_IDENTITY,
  ) {
    this.#pipelines = pipelines;
    this.#calls = calls.map((call) => ({ call, isAccepted: false, onTheirWay: 0 }));
    this.database = new ModelDatabase(rules);
    this.#backup = this.database.backUp();
    const mesh: Surroundings = {
      steps: this.#steps,
      rules,
      raw: this.#raw,
      enriched: this.#enriched,
      unique: this.#unique,
      database: this.database,
      pipelines: () => pipelines[this.#pipelineVersion]!,
      pipelinesState: () =>
        create(PipelinesStateSchema, {
          epoch: 1n,
          revision: rules.gatewayKnowsThePipelines ? BigInt(this.#pipelineVersion) : 0n,
        }),
      notify: (notice) => {
        for (const { inbox } of this.#listeners) inbox.push(notice);
      },
      onWritten: (batches, result) => {
        this.transactions.push({ batches, result });
        for (const outcome of result.outcomes) {
          this.#count(outcome.kind);
          if (outcome.kind === "booked" && outcome.verdicts.duplicate > 0) this.#count("dropped");
        }
      },
    };
    this.#gateway = new ModelGateway(mesh, (bytes) => {
      const decoded = decodeBatch(bytes);
      if (decoded.kind !== "batch") throw new Error(`the gateway publishes what is ${decoded.kind}`);
      const { batchId, acceptedCount: accepted, dropped } = decoded.batch;
      if (dropped.length > 0) this.#count("recalled");
      this.#published.push({ batchId: hex(batchId), accepted });
    });
    this.#enrichers = [new ModelEnricher(mesh), new ModelEnricher(mesh)];
    this.#dedups = [new ModelDedup(mesh), new ModelDedup(mesh)];
    this.#stores = [new ModelStore(mesh), new ModelStore(mesh)];
  }

  /** What RAW has taken, since the last restore of the database. */
  get published(): readonly { batchId: string; accepted: number }[] {
    return this.#published;
  }

  async happen({ kind, pick }: HistoryEvent): Promise<void> {
    const one = <T>(of: readonly T[], action: (chosen: T) => void): void => {
      if (of.length === 0) return;
      this.#count(kind);
      action(of[pick % of.length]!);
    };
    const hearing = this.#listeners.filter(({ inbox }) => inbox.length > 0);
    switch (kind) {
      case "go on":
        one(this.#options, (option) => option());
        break;
      case "send":
        one(this.#calls, (call) => this.#send(call));
        break;
      case "kill":
        one(
          [this.#gateway, ...this.#enrichers, ...this.#dedups, ...this.#dedups, ...this.#stores],
          (process) => process.kill(pick % 3 === 0),
        );
        break;
      case "redeliver": {
        const queues = [this.#raw, this.#enriched, this.#unique];
        const held = queues.flatMap((queue) => queue.delivered.map((sequence) => ({ queue, sequence })));
        one(held, ({ queue, sequence }) => queue.redeliver(sequence));
        break;
      }
      case "lose a notice":
        one(hearing, ({ inbox }) => inbox.splice(pick % inbox.length, 1));
        break;
      case "double a notice":
        one(hearing, ({ inbox }) => inbox.push(inbox[pick % inbox.length]!));
        break;
      case "lose an answer":
        one(
          this.#steps.open.filter(({ what }) => what === "ask" || what === "answer"),
          (step) => step.fail(new Error("no answer in time")),
        );
        break;
      case "back up":
        one([this.database], (database) => {
          this.#backup = database.backUp();
        });
        break;
      case "restore":
        one([this.database], (database) => {
          database.restore(this.#backup);
          this.#published = [];
          // Nobody knows what of it was in the backup: all of it has to be sent again.
          for (const call of this.#calls) call.isAccepted = false;
        });
        break;
      case "restart the database":
        one([this.database], (database) => database.restart());
        break;
      case "change the pipeline":
        one([pick], () => {
          this.#pipelineVersion = Math.min(this.#pipelineVersion + 1, this.#pipelines.length - 2);
        });
        break;
    }
    await nextTurn();
  }

  /** Nothing goes wrong any more: the producer sends until everything is accepted, and the mesh works off what it has. */
  async settle(): Promise<void> {
    for (let step = 0; step < MAX_STEPS; step++) {
      const [option] = this.#options;
      const missing = this.#calls.find(({ isAccepted, onTheirWay }) => !isAccepted && onTheirWay === 0);
      for (const bug of this.#steps.bugs) throw bug;
      if (option !== undefined) option();
      else if (missing !== undefined) this.#send(missing);
      // A call may wait for its batch to leave, which takes the gateway some turns.
      else if (this.#calls.every(({ onTheirWay }) => onTheirWay === 0)) return;
      await nextTurn();
    }
    throw new Error("the mesh does not come to rest");
  }

  /**
   * Of a mesh at rest: the last version of the pipelines comes into force, and the source sends everything once more. Then
   * as `settle`.
   */
  async sendAllAgain(): Promise<void> {
    this.#pipelineVersion = this.#pipelines.length - 1;
    for (const call of this.#calls) call.isAccepted = false;
    await this.settle();
  }

  /** Who is told what the store has committed. */
  get #listeners(): readonly (ModelDedup | ModelGateway)[] {
    return [...this.#dedups, this.#gateway];
  }

  /** All that could happen next without anything going wrong. */
  get #options(): (() => void)[] {
    return [
      ...this.#steps.open.map((step) => () => step.go()),
      ...this.#listeners
        .filter(({ inbox }) => inbox.length > 0)
        .map((listener) => () => listener.hear(listener.inbox.shift()!)),
      ...[...this.#enrichers, ...this.#dedups, ...this.#stores].flatMap(({ options }) => options),
    ];
  }

  #send(call: CallState): void {
    call.onTheirWay++;
    const { published } = this;
    const answered = this.#gateway.ingest(call.call).then((isAccepted) => {
      call.onTheirWay--;
      // A receipt from before a restore says nothing of the database after it.
      if (isAccepted && published === this.#published) call.isAccepted = true;
    });
    this.#steps.runs(answered);
  }

  #count(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }
}
