import { setTimeout as sleep } from "node:timers/promises";
import { ALL, deadLettersAt } from "../dead-letter-calls.ts";
import { untilDrained } from "./harness/judge.ts";
import { type KnownRecord, keyOf, knownRecord, withUuid } from "./harness/known-records.ts";
import { applyPipeline, untilInForce } from "./harness/pipelines.ts";
import type { Scenario } from "./harness/scenario.ts";

const SOURCE = { sourceType: "part", sourceId: "store-room" };
const KEYS = 60;
const CALL_RECORDS = 40;
const ENRICHERS = ["enricher", "enricher-2"];

/** Each makes keys that no other makes, so that what was landed by one can't hide what another is to land. */
const rules: Record<string, string[]> = {
  suffix: [
    "- set: { values: { metadata.rule: suffix } }",
    "- derive_identity: { from: [data_id, metadata.rule] }",
  ],
  prefix: [
    "- set: { values: { metadata.rule: prefix } }",
    "- derive_identity: { from: [metadata.rule, data_id] }",
  ],
  broken: ["- require: { fields: [metadata.nobody_sends_this] }"],
  final: [
    "- set: { values: { metadata.rule: final } }",
    "- derive_identity: { from: [data_id, metadata.rule] }",
  ],
};

export const scenario: Scenario = {
  title:
    "a pipeline with its identity rule is changed, broken and mended while batches are on their way and enrichers die",
  mesh: { replicas: { enricher: 2 } },
  detours: ["required_field_missing"],
  async run({ mesh, faults, fault, note, random, underLoad, recovered }) {
    const sent: KnownRecord[] = [];
    const producer = mesh.producers[0]!;
    let isOver = false;
    /** The source: it knows its records by uuid, no two of them are equal, and some come late. */
    const produce = async (): Promise<void> => {
      for (let first = 1; !isOver; first += CALL_RECORDS) {
        const versions = random.shuffle(Array.from({ length: CALL_RECORDS }, (_, i) => first + i));
        const records = versions.map((version) => {
          const place = { ...SOURCE, dataId: `part-${random.below(KEYS)}` };
          const record = withUuid(knownRecord(place, version));
          // Where it belongs in the end, whatever rule it meets first.
          return { ...record, key: keyOf({ ...place, dataId: `${place.dataId}:final` }) };
        });
        sent.push(...records);
        await producer.send(records);
        await sleep(20);
      }
    };
    const apply = async (rule: string): Promise<bigint> => {
      const through = random.pick(ENRICHERS);
      const version = await applyPipeline(mesh, {
        through,
        sourceType: SOURCE.sourceType,
        steps: rules[rule]!,
      });
      fault(`the pipeline is ${rule} now, through ${through}`);
      return version;
    };

    let last = 0n;
    await underLoad(async (load) => {
      const producing = produce();
      for (const rule of ["suffix", "prefix", "broken", "suffix", "prefix", "broken", "final"]) {
        await load.untilAccepted(200);
        const applying = apply(rule);
        await faults.crash(random.pick(ENRICHERS));
        last = await applying;
      }
      await load.untilAccepted(200);
      isOver = true;
      await producing;
      await recovered();
    });
    for (const enricher of ENRICHERS)
      await untilInForce(mesh, enricher, { sourceType: SOURCE.sourceType, version: last });
    await untilDrained(mesh);

    const letters = deadLettersAt(mesh.endpoints.admin.store!);
    try {
      await letters.replay(ALL);
    } finally {
      letters.close();
    }
    await untilDrained(mesh);
    note(`the source sends its ${sent.length} records again`);
    const again = random.shuffle(sent);
    for (let from = 0; from < again.length; from += 100) await producer.send(again.slice(from, from + 100));
  },
};
