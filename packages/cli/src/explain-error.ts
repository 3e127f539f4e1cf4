import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "@chowhound/shared/contracts/google/rpc/error_details";
import { Code, type ConnectError } from "@connectrpc/connect";
import type { ErrorReport } from "./error-report.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { targetOf } from "./mesh/connection.ts";
import { formatSeconds } from "./output/format.ts";
import { secondsOf } from "./proto-time.ts";

const TOO_LARGE: ReadonlySet<string> = new Set(["call_too_large", "answer_too_large"]);

/** Explains what a call rejected with, with the field, the limit and the remedy as far as the mesh tells them. */
export function explainCallError(error: ConnectError): ErrorReport {
  const [info] = error.findDetails(ErrorInfoSchema);
  const exitCode = exitCodeOf(error, info?.reason);
  if (info === undefined) return { lines: explainTransport(error), exitCode };

  const [retry] = error.findDetails(RetryInfoSchema);
  const [first, ...more] = error.rawMessage.split("\n");
  const lines = [`${first} (${info.reason})`, ...more.map((line) => `  ${line}`)];
  const violations = error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
  for (const { field, description } of violations) {
    if (!error.rawMessage.includes(description)) lines.push(`  ${field}: ${description}`);
    else if (violations.length === 1) lines.push(`  field: ${field}`);
  }
  for (const [name, value] of Object.entries(info.metadata)) lines.push(`  ${name}: ${value}`);
  if (retry?.retryDelay !== undefined) {
    lines.push(`  try again in ${formatSeconds(secondsOf(retry.retryDelay))}`);
  }
  lines.push(`  see docs/errors.md#${info.reason}`);
  return { lines, exitCode, reason: info.reason };
}

/** @param reason of the mesh itself */
function exitCodeOf({ code }: ConnectError, reason: string | undefined): ExitCode {
  switch (code) {
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return EXIT.refused;
    case Code.Unavailable:
    case Code.DeadlineExceeded:
      return EXIT.unavailable;
    // What is too large stays so.
    case Code.ResourceExhausted:
      return reason !== undefined && TOO_LARGE.has(reason) ? EXIT.failed : EXIT.unavailable;
    // A connection that broke off, and anything that does not speak gRPC. The mesh itself gives details.
    case Code.Aborted:
    case Code.Internal:
    case Code.Unknown:
      return reason !== undefined ? EXIT.failed : EXIT.unavailable;
    default:
      return EXIT.failed;
  }
}

function explainTransport(error: ConnectError): string[] {
  const target = targetOf(error);
  const where = target === undefined ? "the mesh" : `${target.url} (from ${target.from})`;
  const remedy =
    target?.from.endsWith(".json") === true
      ? "  start the mesh with `npm start`; the file stays behind where a mesh was killed"
      : "  start the mesh, or check the address";
  switch (error.code) {
    case Code.Unavailable:
    case Code.Aborted:
      return [`nothing answers at ${where}: ${error.rawMessage}`, remedy];
    case Code.DeadlineExceeded:
      return [`${where} takes too long to answer`, remedy];
    case Code.Internal:
    case Code.Unknown:
      return [
        `${where} does not answer as a mesh does: ${error.rawMessage}`,
        "  is it a gRPC port of Chowhound?",
      ];
    case Code.Unimplemented:
      return [
        `${where} does not offer this call: ${error.rawMessage}`,
        "  is it another version, or another port?",
      ];
    default:
      return [`${where} answers: ${error.message}`];
  }
}
