import { describe, expect, it } from "vitest";
import { readJsonRequest } from "./json-request.ts";

const read = (json: string) => readJsonRequest(Buffer.from(json));
const GOOD = '{"data":"x"}';

describe("readJsonRequest", () => {
  it("converts the records, a bad one alone", () => {
    expect(read(`{"records":[${GOOD},7,${GOOD}],"of a later version":1}`)).toEqual([
      Buffer.from([0x32, 1, 0x78]),
      expect.objectContaining({ reason: "malformed_record" }),
      Buffer.from([0x32, 1, 0x78]),
    ]);
    expect(read(`\ufeff{"records":[${GOOD}]}`)).toHaveLength(1);
    expect(read("{}")).toEqual([]);
    expect(read('{"records":null}')).toEqual([]);
  });

  it.each([
    ["an empty body", "", "the body is empty"],
    ["garbage", "{records", "the body is not JSON"],
    ["a list", "[]", "the body is not a JSON object"],
    ["a number", "5", "the body is not a JSON object"],
    ["null", "null", "the body is not a JSON object"],
    ["a number of records", '{"records":5}', "records is not a list"],
    ["a slip", '{"recrods":[]}', '"recrods" is no field of IngestRequest'],
    ["an object of records", '{"records":{}}', "records is not a list"],
    [
      "bytes that aren't UTF-8",
      Buffer.from('{"records":[{"data":"\xff"}]}', "latin1"),
      "the body is not valid UTF-8",
    ],
  ])("refuses %s", (_what, body, message) => {
    expect(() => readJsonRequest(Buffer.from(body))).toThrow(
      expect.objectContaining({ reason: "malformed_request", message: expect.stringContaining(message) }),
    );
  });

  it("stops where there are more records than a call may hold", () => {
    expect(read(`{"records":[${new Array(100_000).fill("0").join(",")}]}`)).toHaveLength(5_001);
  });

  it("stops where there are more bytes than a call may hold", () => {
    const large = JSON.stringify({ data: "x".repeat(900_000) });
    expect(read(`{"records":[${new Array(9).fill(large).join(",")}]}`)).toHaveLength(5);
  });
});
