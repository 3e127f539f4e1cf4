import { setImmediate as nextTurn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import { PipelineSchema } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { encodeSample, type SampleRecord, sampleRawBatch } from "@chowhound/shared/testing/sample-batches";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { appendAdditions, enrichBatch } from "../enrich-batch.ts";
import { definitionOf, pipelineOf } from "../pipeline-for-test.ts";
import { createPipelineSet } from "../pipeline-set.ts";
import { SuspectTrial } from "./suspect-trial.ts";

const MAX_BYTES = 8 * 1024 ** 2;
const TIMEOUT_MS = 60_000;
const origin = { epoch: 9n, sequence: 1n };

// A text joined to itself as often as there are entries in a list: what no record of the usual kind makes large.
const steps = `- map: { attributes.joined: 'string(size(metadata.list.map(x, data).join("")))' }`;
const sound: SampleRecord = { data: "abc", metadata: { list: [1, 2] } };
const killer: SampleRecord = { data: "x".repeat(200_000), metadata: { list: Array(1_000).fill(0) } };

let stopping: AbortController;
let stored: { inForce: ReturnType<typeof createPipelineSet>; definition: string };
beforeEach(() => {
  stopping = new AbortController();
  stored = inForce(steps);
});
afterEach(() => stopping.abort());

function inForce(yaml: string) {
  return { inForce: createPipelineSet([pipelineOf(yaml)]), definition: definitionOf(yaml) };
}

function createTrial(): SuspectTrial {
  return new SuspectTrial({
    pipelines: {
      get inForce() {
        return stored.inForce;
      },
      list: () => [create(PipelineSchema, { definition: stored.definition, version: 7n })],
    },
    log: pino({ level: "silent" }),
    signal: stopping.signal,
    limits: { heapMiB: 64, cpuMs: 1_000 },
  });
}

function suspectOf(records: SampleRecord[]) {
  return { message: encodeSample(sampleRawBatch({ records })), records: records.length, origin };
}

describe("a suspect", () => {
  test(
    "that is innocent is enriched as any batch is",
    async () => {
      const suspect = suspectOf([sound, {}, { metadata: { list: [] } }]);
      const decoded = decodeBatch(suspect.message);
      if (decoded.kind !== "batch") throw new Error(decoded.kind);
      const expected = enrichBatch(decoded.batch, origin, stored.inForce, { maxBytes: MAX_BYTES });
      const additions = await createTrial().enrich(suspect, MAX_BYTES);
      expect(appendAdditions(suspect.message, additions!, MAX_BYTES)!.bytes).toEqual(
        appendAdditions(suspect.message, expected, MAX_BYTES)!.bytes,
      );
    },
    TIMEOUT_MS,
  );

  test(
    "loses the records that end processes, and no others",
    async () => {
      const additions = await createTrial().enrich(
        suspectOf([sound, killer, sound, killer, sound]),
        MAX_BYTES,
      );
      expect(additions!.deadLabels).toMatchObject(
        [1, 3].map((index) => ({
          index,
          stage: "enricher",
          reason: "kills_process",
          detail: expect.stringMatching(/^it ended a process that had 64 MiB of memory for it: SIG/),
        })),
      );
      expect(additions!.enrichments.map(({ index }) => index)).toEqual([0, 2, 4]);
    },
    TIMEOUT_MS,
  );

  test(
    "loses a record that takes for ever",
    async () => {
      stored = inForce(
        `- map: { attributes.found: 'string(metadata.list.map(x, data.replace("x", "y").size()).size())' }`,
      );
      const additions = await createTrial().enrich(suspectOf([killer, sound]), MAX_BYTES);
      expect(additions).toMatchObject({
        enrichments: [{ index: 1 }],
        deadLabels: [{ index: 0, reason: "kills_process", detail: "it took more than 1 s of the processor" }],
      });
    },
    TIMEOUT_MS,
  );
});

test(
  "suspects are tried one after the other, each with the pipelines that are in force then",
  async () => {
    const trial = createTrial();
    const before = trial.enrich(suspectOf([sound]), MAX_BYTES);
    await nextTurn();
    stored = inForce("- set: { values: { attributes.joined: none } }");
    const after = trial.enrich(suspectOf([killer]), MAX_BYTES);
    expect((await before)!.enrichments[0]!.attributesJson).toContain('"6"');
    expect((await after)!.enrichments[0]!.attributesJson).toContain('"none"');
  },
  TIMEOUT_MS,
);

test(
  "is given up at a drain",
  async () => {
    const trial = createTrial();
    const first = trial.enrich(suspectOf([killer]), MAX_BYTES);
    const second = trial.enrich(suspectOf([sound]), MAX_BYTES);
    stopping.abort();
    expect(await first).toBeUndefined();
    expect(await second).toBeUndefined();
  },
  TIMEOUT_MS,
);
