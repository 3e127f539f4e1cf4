import type { JsonObject } from "@bufbuild/protobuf";
import { EXIT, type ExitCode } from "./exit-codes.ts";

/** Why a command has failed. */
export interface ErrorReport {
  /** What went wrong first, then what is known about it. */
  lines: readonly string[];
  exitCode: ExitCode;
  /** Of docs/errors.md, where the mesh has told one. */
  reason?: string | undefined;
}

/** For the person at the terminal. */
export function describeError({ lines }: ErrorReport): string {
  return `chow: ${lines.join("\n")}`;
}

/** For a program. */
export function errorToJson({ lines, exitCode, reason }: ErrorReport): JsonObject {
  const [message = "", ...details] = lines;
  const code = Object.entries(EXIT).find(([, value]) => value === exitCode)?.[0] ?? "failed";
  return {
    error: {
      code,
      exitCode,
      ...(reason !== undefined && { reason }),
      message,
      details: details.map((line) => line.trim()),
    },
  };
}
