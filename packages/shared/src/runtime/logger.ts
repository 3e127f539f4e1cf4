import { type Logger as PinoLogger, pino, stdTimeFunctions } from "pino";

export type Logger = PinoLogger;

export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevelName = (typeof LOG_LEVELS)[number];

const URL_CREDENTIALS = /:\/\/[^\s"/@]+@/g;

/** What a log says of an error. Libraries hang more on theirs, PostgreSQL's for one the values of the row at fault. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack, cause } = error;
  const { code } = error as { code?: unknown };
  return {
    name,
    message,
    ...(code !== undefined && { code }),
    stack,
    ...(cause !== undefined && { cause: describeError(cause) }),
  };
}

/** Structured logs as JSON lines on standard error: level, time, service, message. Record contents never go in. */
export function createLogger(service: string, level: LogLevelName): Logger {
  return pino(
    {
      level,
      base: { service, pid: process.pid },
      messageKey: "message",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
      // Whatever an error carries along, a key or a password never reaches the log.
      redact: { paths: ["authorization", "*.authorization", "password", "*.password"], censor: "[redacted]" },
    },
    // Synchronous: a line is out when the process dies in the next.
    { write: (line: string) => writeLine(line.replaceAll(URL_CREDENTIALS, "://[redacted]@")) },
  );
}

/** A log that can't be written, for its disk is full or its reader gone, is no reason to stop. */
function writeLine(line: string): void {
  try {
    process.stderr.write(line);
  } catch {
    // There is nowhere to say so.
  }
}
