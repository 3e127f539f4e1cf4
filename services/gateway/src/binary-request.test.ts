import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { IngestRequestSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { describe, expect, it } from "vitest";
import { readBinaryRequest } from "./binary-request.ts";

const request = toBinary(
  IngestRequestSchema,
  create(IngestRequestSchema, { records: [{ data: "one" }, { data: "two" }] }),
);
const dataOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString()
    .replace(/[^a-z]/g, "");

describe("readBinaryRequest", () => {
  it("refers to the records where they are", () => {
    const { records } = readBinaryRequest(request);
    expect(records.map(dataOf)).toEqual(["one", "two"]);
    expect(records.every(({ buffer }) => buffer === request.buffer)).toBe(true);
  });

  it("holds nothing large that is in the request beside them", () => {
    const beside = new BinaryWriter()
      .tag(99, WireType.LengthDelimited)
      .bytes(new Uint8Array(100_000))
      .finish();
    const { records } = readBinaryRequest(Buffer.concat([request, beside]));
    expect(records.map(dataOf)).toEqual(["one", "two"]);
    for (const { buffer } of records) expect(buffer.byteLength).toBeLessThanOrEqual(Buffer.poolSize);
  });
});
