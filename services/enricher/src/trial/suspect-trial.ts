import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { RecordBatchSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { Additions, RawNumber } from "../enrich-batch.ts";
import type { PipelineSet } from "../pipeline-set.ts";
import { PROGRESS_FD, type TrialPipeline, type TrialResult, type TrialTask } from "./trial-task.ts";

/** A batch that may have ended the processes which had it. */
export interface Suspect {
  message: Uint8Array;
  records: number;
  origin: RawNumber;
}

export interface SuspectTrialOptions {
  /** Those in force, and what they were made from; of a replica that may process. */
  pipelines: {
    readonly inForce: PipelineSet | undefined;
    list(): readonly TrialPipeline[];
    /** There is one, and it is tried on all records, whatever it says it is for. */
    isForAll?: boolean;
  };
  log: Logger;
  /** Aborted: no trial goes on. */
  signal: AbortSignal;
  limits?: TrialLimits;
}

/** What one record may use at most. The memory comes on top of what the enricher itself uses. */
interface TrialLimits {
  heapMiB: number;
  /** Of the processor's time, so that a busy machine makes no record look bad. */
  cpuMs: number;
}

const LIMITS: TrialLimits = { heapMiB: 256, cpuMs: 10_000 };

/**
 * Enriches suspects one after the other in a process of their own, which a record may end: by using up its memory or its time,
 * or by crashing it. One that does so twice is labelled dead, and the others are tried again without it.
 */
export class SuspectTrial {
  readonly #options: SuspectTrialOptions;
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();
  #process: TrialProcess | undefined;

  constructor(options: SuspectTrialOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => this.#process?.kill(), { once: true });
  }

  /**
   * Resolves to undefined where it was given up because the process drains. Rejects where the trial ends and no record is
   * to blame.
   */
  enrich(suspect: Suspect, maxBytes: number): Promise<Additions | undefined> {
    this.#waiting++;
    const enriched = this.#last.then(() => this.#try(suspect, maxBytes));
    this.#last = enriched
      .catch(() => {})
      .finally(() => {
        // Suspects come in swarms: what was in work together when a process ended. Then nothing is left to do.
        if (--this.#waiting === 0) this.#process?.kill();
      });
    return enriched;
  }

  async #try({ message, records, origin }: Suspect, maxBytes: number): Promise<Additions | undefined> {
    const { pipelines, log, signal, limits = LIMITS } = this.#options;
    const accidents = new Set<number>();
    const killers = new Map<number, string>();
    while (!signal.aborted) {
      this.#process = this.#process?.hasEnded === false ? this.#process : new TrialProcess(limits);
      const outcome = await this.#process.run({ message, origin, maxBytes, killers }, pipelines);
      if ("additions" in outcome) return fromBinary(RecordBatchSchema, outcome.additions);
      if (signal.aborted) break;
      const { index, how } = outcome;
      // Once can be anything: the machine ran out of memory, somebody ended the wrong process.
      if (!accidents.has(index)) {
        accidents.add(index);
        continue;
      }
      if (index < 0 || index >= records || killers.has(index))
        throw new Error(`the trial of a batch ended, and no record is to blame: ${how}`);
      killers.set(index, how);
      log.error({ sequence: `${origin.sequence}`, index, how }, "found a record that kills its process");
    }
    return undefined;
  }
}

/** How a trial ended in which no result came: at which record, counted from 0; below 0 at none yet. */
interface TrialEnd {
  index: number;
  how: string;
}

class TrialProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  #progress = 0;
  #progressBefore = 0;
  #pipelines: PipelineSet | undefined;
  hasEnded = false;

  constructor(limits: TrialLimits) {
    this.#child = fork(join(import.meta.dirname, "trial-process.ts"), [String(limits.cpuMs)], {
      execArgv: [`--max-old-space-size=${limits.heapMiB}`],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc", "pipe"],
    });
    this.#child.stdio[PROGRESS_FD]?.on("data", (chunk: Buffer) => {
      this.#progress += chunk.length;
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once("error", (error) => resolve(`it did not start: ${error.message}`));
      // Not "exit": all of the progress has been read by then.
      this.#child.once("close", (code, signal) => resolve(describeEnd(code, signal, limits)));
    });
    void this.#ended.then(() => {
      this.hasEnded = true;
    });
  }

  kill(): void {
    this.hasEnded = true;
    this.#child.kill("SIGKILL");
  }

  /** One after the other. */
  async run(
    task: Omit<TrialTask, "pipelines" | "isForAll">,
    pipelines: SuspectTrialOptions["pipelines"],
  ): Promise<TrialResult | TrialEnd> {
    const areNew = pipelines.inForce !== this.#pipelines;
    this.#pipelines = pipelines.inForce;
    const definitions = () => pipelines.list().map(({ definition, version }) => ({ definition, version }));
    const result = new Promise<TrialResult>((resolve) => this.#child.once("message", resolve));
    const { isForAll = false } = pipelines;
    const whole: TrialTask = { ...task, pipelines: areNew ? definitions() : undefined, isForAll };
    // Where it can't be sent, the process has ended.
    this.#child.send(whole, () => {});
    void result.then(({ progress }) => {
      this.#progressBefore = progress;
    });
    const end = this.#ended.then((how) => ({ index: this.#progress - this.#progressBefore - 1, how }));
    return await Promise.race([result, end]);
  }
}

function describeEnd(code: number | null, signal: NodeJS.Signals | null, limits: TrialLimits): string {
  if (signal === "SIGXCPU") return `it took more than ${limits.cpuMs / 1000} s of the processor`;
  const how = signal === null ? `exit code ${code}` : signal;
  return `it ended a process that had ${limits.heapMiB} MiB of memory for it: ${how}`;
}
