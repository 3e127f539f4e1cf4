import { create } from "@bufbuild/protobuf";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "@chowhound/shared/contracts/google/rpc/error_details";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { EXIT } from "./exit-codes.ts";
import { explainCallError } from "./explain-error.ts";

const info = (reason: string, metadata = {}) => ({
  desc: ErrorInfoSchema,
  value: create(ErrorInfoSchema, { reason, domain: "chowhound", metadata }),
});
const violations = (...fieldViolations: { field: string; description: string }[]) => ({
  desc: BadRequestSchema,
  value: create(BadRequestSchema, { fieldViolations }),
});

test("tells what the mesh tells: reason, field, limit, when to try again, and where to read on", () => {
  const error = new ConnectError("too many records", Code.ResourceExhausted, undefined, [
    info("too_many_records", { limit: "5000" }),
    violations({ field: "records", description: "too many records" }),
    {
      desc: RetryInfoSchema,
      value: create(RetryInfoSchema, { retryDelay: { seconds: 1n, nanos: 500_000_000 } }),
    },
  ]);
  expect(explainCallError(error)).toEqual({
    exitCode: EXIT.unavailable,
    reason: "too_many_records",
    lines: [
      "too many records (too_many_records)",
      "  field: records",
      "  limit: 5000",
      "  try again in 1.5s",
      "  see docs/errors.md#too_many_records",
    ],
  });
});

test("every problem is told once", () => {
  const error = new ConnectError("invalid:\nline 1: a\nline 2: b", Code.InvalidArgument, undefined, [
    info("pipeline_invalid"),
    violations(
      { field: "x", description: "a" },
      { field: "y", description: "b" },
      { field: "z", description: "c!" },
    ),
  ]);
  expect(explainCallError(error).lines).toEqual([
    "invalid: (pipeline_invalid)",
    "  line 1: a",
    "  line 2: b",
    "  z: c!",
    "  see docs/errors.md#pipeline_invalid",
  ]);
});

test.each([
  [Code.Unauthenticated, EXIT.refused, EXIT.refused],
  [Code.PermissionDenied, EXIT.refused, EXIT.refused],
  [Code.Unavailable, EXIT.unavailable, EXIT.unavailable],
  [Code.DeadlineExceeded, EXIT.unavailable, EXIT.unavailable],
  [Code.ResourceExhausted, EXIT.unavailable, EXIT.unavailable],
  // A call that broke off; but from the mesh itself: somebody else was faster.
  [Code.Aborted, EXIT.failed, EXIT.unavailable],
  [Code.Internal, EXIT.failed, EXIT.unavailable],
  [Code.InvalidArgument, EXIT.failed, EXIT.failed],
  [Code.NotFound, EXIT.failed, EXIT.failed],
  [Code.Unimplemented, EXIT.failed, EXIT.failed],
])(
  "status %d ends with %d from the mesh, and with %d from what stands before it",
  (code, fromMesh, other) => {
    const details = [info("whatever")];
    expect(explainCallError(new ConnectError("no", code, undefined, details)).exitCode).toBe(fromMesh);
    expect(explainCallError(new ConnectError("no", code)).exitCode).toBe(other);
  },
);

test.each(["call_too_large", "answer_too_large"])("%s ends with 1: trying again doesn't help", (reason) => {
  const error = new ConnectError("too large", Code.ResourceExhausted, undefined, [info(reason)]);
  expect(explainCallError(error).exitCode).toBe(EXIT.failed);
});
