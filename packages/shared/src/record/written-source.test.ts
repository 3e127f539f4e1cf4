import { create, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RecordView } from "./record-view.ts";
import { writtenSource } from "./written-source.ts";

function encode(fields: { sourceType?: string; sourceId?: string; dataId?: string }): Uint8Array {
  return toBinary(IngestionDataSchema, create(IngestionDataSchema, fields));
}
const written = (bytes: Uint8Array): string => writtenSource(new RecordView().read(bytes));

describe("a source as written", () => {
  it("is the same for the records of a source", () => {
    expect(written(encode({ sourceType: "forum", sourceId: "square", dataId: "1" }))).toBe(
      written(encode({ sourceType: "forum", sourceId: "square", dataId: "2" })),
    );
  });

  it("tells sources apart, also where names look like tags and lengths", () => {
    // The tag of source_id, and lengths that are letters.
    const name = fc.string({ unit: fc.constantFrom("a", '"', "!", "$", "\u0080"), maxLength: 45 });
    const source = fc.record({ sourceType: name, sourceId: name });
    fc.assert(
      fc.property(source, source, (a, b) => {
        const areEqual = a.sourceType === b.sourceType && a.sourceId === b.sourceId;
        expect(written(encode(a)) === written(encode(b))).toBe(areEqual);
      }),
    );
    const hidden = { sourceType: "a", sourceId: `${"x".repeat(10)}"!${"y".repeat(33)}` };
    const pretender = { sourceType: `a"-${"x".repeat(10)}`, sourceId: "y".repeat(33) };
    expect(hidden.sourceId.length).toBe("-".charCodeAt(0));
    expect(written(encode(hidden))).not.toBe(written(encode(pretender)));
  });

  it("also where the fields come in another order", () => {
    const swapped = ({ sourceType, sourceId }: { sourceType: string; sourceId: string }) =>
      Buffer.concat([encode({ sourceId }), encode({ sourceType })]);
    const sources = [
      { sourceType: "forum", sourceId: "square" },
      { sourceType: "forums", sourceId: "quare" },
      { sourceType: "f", sourceId: "orumsquare" },
    ];
    const all = sources.flatMap((source) => [written(swapped(source)), written(encode(source))]);
    expect(new Set(all).size).toBe(all.length);
  });
});
