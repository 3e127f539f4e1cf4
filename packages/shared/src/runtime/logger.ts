import { type Logger as PinoLogger, pino, stdTimeFunctions } from "pino";

export type Logger = PinoLogger;

export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevelName = (typeof LOG_LEVELS)[number];

const URL_CREDENTIALS = /:\/\/[^\s"/@]+@/g;

/** Structured logs as JSON lines on standard error: level, time, service, message. Record contents never go in. */
export function createLogger(service: string, level: LogLevelName): Logger {
  return pino(
    {
      level,
      base: { service, pid: process.pid },
      messageKey: "message",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Whatever an error carries along, a key or a password never reaches the log.
      redact: { paths: ["authorization", "*.authorization", "password", "*.password"], censor: "[redacted]" },
    },
    // Synchronous: a line is out when the process dies in the next.
    { write: (line: string) => process.stderr.write(line.replaceAll(URL_CREDENTIALS, "://[redacted]@")) },
  );
}
