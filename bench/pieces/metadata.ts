import { create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import { LIMITS } from "@chowhound/shared/record/limits";
import { RECORD_FIELD, RecordView, splitRequest } from "@chowhound/shared/record/record-view";
import { structToJson } from "@chowhound/shared/record/struct-json";
import { encodeRequests } from "../generate-records.ts";
import type { Piece } from "./piece.ts";

const RECORDS = 5_000;

/** What it costs that metadata is a google.protobuf.Struct, and what it would cost as JSON text. */
export function metadataPieces(): Piece[] {
  const view = new RecordView();
  const structs = encodeRequests({ first: 0, count: RECORDS, revision: 0 }, RECORDS)
    .flatMap((request) => splitRequest(request, LIMITS.callRecords).records)
    .map((record) => Buffer.from(view.read(record).slice(RECORD_FIELD.metadata)));
  const texts = structs.map((bytes) => Buffer.from(structToJson(bytes, LIMITS.metadataDepth)));
  const piece = <T>(name: string, inputs: readonly T[], work: (input: T) => unknown): Piece => ({
    name,
    per: "record",
    run: () => {
      for (const input of inputs) work(input);
      return inputs.length;
    },
  });
  return [
    piece("a Struct to canonical JSON, on the wire (as it ships)", structs, (bytes) =>
      structToJson(bytes, LIMITS.metadataDepth),
    ),
    piece("the same with the protobuf library and JSON.stringify", structs, (bytes) =>
      JSON.stringify(toJson(StructSchema, fromBinary(StructSchema, bytes))),
    ),
    piece("a Struct decoded and encoded by the protobuf library", structs, (bytes) =>
      toBinary(StructSchema, create(StructSchema, fromBinary(StructSchema, bytes))),
    ),
    piece("were it JSON text: parsed and written, so checked", texts, (bytes) =>
      JSON.stringify(JSON.parse(bytes.toString())),
    ),
    piece("were it JSON text: copied unseen", texts, (bytes) => Buffer.from(bytes)),
  ];
}
