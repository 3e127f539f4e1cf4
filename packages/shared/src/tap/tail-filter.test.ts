import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TailRequestSchema } from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import { describe, expect, test } from "vitest";
import { CallError } from "../errors/call-error.ts";
import { OUTCOMES } from "./outcomes.ts";
import { readTailRequest, type TailFilter } from "./tail-filter.ts";

function read(request: MessageInitShape<typeof TailRequestSchema>): TailFilter | string[] {
  try {
    return readTailRequest(create(TailRequestSchema, request));
  } catch (error) {
    if (!(error instanceof CallError) || error.reason !== "invalid_tail") throw error;
    return error.violations.map(({ field }) => field);
  }
}

describe("a request for a tap", () => {
  test("without a wish gets the defaults: everything, 100 a second, no contents", () => {
    expect(read({})).toEqual({
      tenantId: "",
      sourceType: Buffer.alloc(0),
      sourceId: Buffer.alloc(0),
      outcomes: new Set(),
      sampleRatio: 1,
      maxRecordsPerSecond: 100,
      maxContentBytes: 0,
    });
  });

  test("may go to the limits, and name the outcomes of any stage", () => {
    const request = { sampleRatio: 1, maxRecordsPerSecond: 1_000, maxContentBytes: 4_096 };
    expect(read({ ...request, outcomes: [...OUTCOMES] })).toMatchObject(request);
  });

  test.each<[string, MessageInitShape<typeof TailRequestSchema>]>([
    ["sample_ratio", { sampleRatio: -0.1 }],
    ["sample_ratio", { sampleRatio: 1.1 }],
    ["sample_ratio", { sampleRatio: Number.NaN }],
    ["max_records_per_second", { maxRecordsPerSecond: 1_001 }],
    ["max_content_bytes", { maxContentBytes: 4_097 }],
    ["outcomes", { outcomes: ["stored", "eaten"] }],
  ])("with a bad %s is refused: %o", (field, request) => {
    expect(read(request)).toEqual([field]);
  });

  test("is told of everything that is wrong with it", () => {
    expect(read({ sampleRatio: 2, outcomes: [""] })).toEqual(["sample_ratio", "outcomes"]);
  });
});
