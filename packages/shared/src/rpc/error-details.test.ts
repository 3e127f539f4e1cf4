import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "@chowhound/shared/contracts/google/rpc/error_details";
import { StatusSchema } from "@chowhound/shared/contracts/google/rpc/status";
import { status } from "@grpc/grpc-js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CallError, type CallErrorOptions } from "../errors/call-error.ts";
import { CALL_ERRORS, type CallErrorReason } from "../errors/reasons.ts";
import { toGrpcError } from "./error-details.ts";

/** What a client reads out of an error. */
function readByClient(error: unknown) {
  const { code, details, metadata } = toGrpcError(error);
  const [encoded] = metadata!.get("grpc-status-details-bin");
  const decoded = fromBinary(StatusSchema, encoded as Buffer);
  const unpack = <T>(found: (T | undefined)[]): T | undefined => found.find((each) => each !== undefined);
  return {
    code,
    details,
    status: { code: decoded.code, message: decoded.message },
    typeUrls: decoded.details.map(({ typeUrl }) => typeUrl),
    info: unpack(decoded.details.map((any) => anyUnpack(any, ErrorInfoSchema))),
    retry: unpack(decoded.details.map((any) => anyUnpack(any, RetryInfoSchema))),
    badRequest: unpack(decoded.details.map((any) => anyUnpack(any, BadRequestSchema))),
  };
}

describe("a call error", () => {
  test.each(Object.entries(CALL_ERRORS))("%s travels with its status and its reason", (reason, code) => {
    const read = readByClient(new CallError(reason as CallErrorReason, "What is wrong: größer als erlaubt"));
    expect(read).toMatchObject({
      code,
      details: "What is wrong: größer als erlaubt",
      status: { code, message: "What is wrong: größer als erlaubt" },
      typeUrls: ["type.googleapis.com/google.rpc.ErrorInfo"],
      info: { reason, domain: "chowhound", metadata: {} },
    });
  });

  test("carries facts, when to try again, and the field", () => {
    const options: CallErrorOptions = { metadata: { limit: "5000" }, retryDelayMs: 1_250, field: "records" };
    const read = readByClient(new CallError("too_many_records", "6000 records", options));
    expect(read.info!.metadata).toEqual({ limit: "5000" });
    expect(read.retry!.retryDelay).toMatchObject({ seconds: 1n, nanos: 250_000_000 });
    expect(read.badRequest!.fieldViolations).toMatchObject([
      { field: "records", description: "6000 records" },
    ]);
  });

  test("names several fields, each with what is wrong with it", () => {
    const violations = [
      { field: "steps[0]", description: "unknown step" },
      { field: "version", description: "missing" },
    ];
    const read = readByClient(new CallError("pipeline_invalid", "2 problems", { violations }));
    expect(read.badRequest!.fieldViolations).toMatchObject(violations);
  });

  test("has a valid duration for any delay", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), (retryDelayMs) => {
        const { retryDelay } = readByClient(new CallError("mesh_full", "full", { retryDelayMs })).retry!;
        expect(retryDelay!.nanos).toBeGreaterThanOrEqual(0);
        expect(retryDelay!.nanos).toBeLessThan(1e9);
        const ms = Number(retryDelay!.seconds) * 1000 + retryDelay!.nanos / 1e6;
        expect(Math.abs(ms - retryDelayMs)).toBeLessThanOrEqual(0.51);
      }),
    );
    const { retryDelay } = readByClient(new CallError("mesh_full", "full", { retryDelayMs: 1_999.6 })).retry!;
    expect(retryDelay).toMatchObject({ seconds: 2n, nanos: 0 });
  });
});

test.each([
  ["an error", new Error("password of the database: s3cret")],
  ["something else", "s3cret"],
  ["nothing", undefined],
])("%s that is no call error is INTERNAL and tells nothing of its inside", (_, error) => {
  const read = readByClient(error);
  expect(read.code).toBe(status.INTERNAL);
  expect(read.info!.reason).toBe("internal");
  expect(JSON.stringify(toGrpcError(error))).not.toContain("s3cret");
});

test("a message that quotes half a character is sent all the same", () => {
  const { details, status: sent } = readByClient(new CallError("pipeline_invalid", "unknown step \ud83d"));
  expect(details).toBe("unknown step \ufffd");
  expect(() => encodeURI(details!)).not.toThrow();
  expect(sent.message).toBe(details);
});
