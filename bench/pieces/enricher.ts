import { LIMITS } from "@chowhound/shared/record/limits";
import { RecordView, splitRequest } from "@chowhound/shared/record/record-view";
import { enrichRecord } from "../../services/enricher/src/enrich-record.ts";
import { type CompiledPipeline, compilePipeline } from "../../services/enricher/src/pipeline.ts";
import { parsePipeline } from "../../services/enricher/src/pipeline-parse.ts";
import { encodeRequests } from "../generate-records.ts";
import type { Piece } from "./piece.ts";

const RECORDS = 5_000;
const CALL_RECORDS = 500;

/** Each with one step of a kind, as docs/pipelines.md shows them, on fields that the records have. */
const PIPELINES = {
  "no step": "[]",
  require: "[{ require: { fields: [metadata.title] } }]",
  "set (a text)": "[{ set: { values: { lang: de } } }]",
  "set (in metadata)": "[{ set: { values: { metadata.shelf: a } } }]",
  "map (an expression into metadata)": `[{ map: { metadata.label: 'metadata.title + "@" + lang' } }]`,
  derive_identity: "[{ derive_identity: { from: [metadata.title, source_id] } }]",
  "redact (look for e-mail addresses in data)": "[{ redact: { detect: [email], in: [data] } }]",
  "detect_language (of a text of 27 words)": '[{ set: { values: { lang: "" } } }, { detect_language: {} }]',
};

/** What one step of a pipeline costs a record, with the reading of what it needs and the writing of what it changed. */
export function enricherPieces(): Piece[] {
  const originals = encodeRequests({ first: 0, count: RECORDS, revision: 0 }, CALL_RECORDS).flatMap(
    (request) => splitRequest(request, LIMITS.callRecords).records,
  );
  const view = new RecordView();
  const place = { tenantId: "bench", uuids: Buffer.alloc(16), uuidAt: 0 };
  return Object.entries(PIPELINES).map(([name, steps]) => {
    const pipeline = pipelineOf(steps);
    return {
      name,
      per: "record",
      run: () => {
        for (const original of originals) {
          const outcome = enrichRecord(view.read(original), place, pipeline);
          if (outcome.kind === "dead") throw new Error(`${name}: ${outcome.reason}: ${outcome.detail}`);
        }
        return RECORDS;
      },
    };
  });
}

function pipelineOf(steps: string): CompiledPipeline {
  const parsed = parsePipeline(`{ tenant: "*", source_type: "*", steps: ${steps} }`);
  if ("problems" in parsed) throw new Error(JSON.stringify(parsed.problems));
  return compilePipeline(parsed.pipeline, 1n);
}
