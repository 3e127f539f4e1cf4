/**
 * A process of its own that tries batches which are suspected of ending processes; started by suspect-trial.ts, which sees
 * from the bytes at PROGRESS_FD at which record it has ended.
 */
import { writeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { create, toBinary } from "@bufbuild/protobuf";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import { RecordBatchSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { type Additions, appendAdditions, enrichBatch } from "../enrich-batch.ts";
import { type CompiledPipeline, compilePipeline } from "../pipeline.ts";
import { parsePipeline } from "../pipeline-parse.ts";
import { createPipelineSet, type PipelineSet, setOfOne } from "../pipeline-set.ts";
import { PROGRESS_FD, type TrialPipeline, type TrialResult, type TrialTask } from "./trial-task.ts";

/** Shared with the watchdog. */
const progress = new Int32Array(new SharedArrayBuffer(4));
let pipelines: PipelineSet = createPipelineSet([]);

new Worker(new URL("./trial-watchdog.ts", import.meta.url), {
  workerData: { progress, maxCpuMs: Number(process.argv[2]), parentPid: process.ppid },
});
process.on("disconnect", () => process.exit());
process.on("message", (task: TrialTask) => {
  if (task.pipelines !== undefined) {
    const compiled = task.pipelines.map(compile);
    pipelines = task.isForAll ? setOfOne(compiled[0]!) : createPipelineSet(compiled);
  }
  const additions = toBinary(RecordBatchSchema, create(RecordBatchSchema, tryBatch(task)));
  process.send?.({ additions, progress: progress[0]! } satisfies TrialResult);
});

function tryBatch({ message, origin, maxBytes, killers }: TrialTask): Additions {
  const decoded = decodeBatch(message);
  if (decoded.kind !== "batch") throw new Error("what is tried is a batch");
  const additions = enrichBatch(decoded.batch, origin, pipelines, {
    maxBytes,
    before(index) {
      begin();
      const detail = killers.get(index);
      return detail === undefined ? undefined : { kind: "dead", reason: "kills_process", detail };
    },
  });
  // What follows is no single record's doing.
  begin();
  return appendAdditions(message, additions, maxBytes)?.additions ?? additions;
}

/** Is written when it returns, whatever comes then. */
function begin(): void {
  writeSync(PROGRESS_FD, ".");
  Atomics.add(progress, 0, 1);
}

function compile({ definition, version }: TrialPipeline): CompiledPipeline {
  const parsed = parsePipeline(definition);
  if ("problems" in parsed) throw new Error("a pipeline in force can't be read");
  return compilePipeline(parsed.pipeline, version);
}
