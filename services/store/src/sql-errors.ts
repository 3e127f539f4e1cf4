import { CallError } from "@chowhound/shared/errors/call-error";
import { DatabaseError } from "pg";

const UNIQUE_VIOLATION = "23505";
/** Serialization failure, deadlock. */
const CONFLICTS_OF_WRITERS = new Set(["40001", "40P01"]);
const QUERY_CANCELED = "57014";
const UUID_CONSTRAINT = "records_uuid";
const KEY_CONSTRAINT = "records_key";
/** Data exceptions, integrity violations, program limits: the value is at fault, and would be the next time too. */
const DATA_CLASSES = new Set(["22", "23", "54"]);

/** A uuid is stored under another key of its tenant. */
export function isUuidTaken(error: unknown): boolean {
  return isViolationOf(error, UUID_CONSTRAINT);
}

/** Another writer stored the same key at the same time. */
export function isConcurrentKey(error: unknown): boolean {
  return isViolationOf(error, KEY_CONSTRAINT);
}

/** Writers got into each other's way; nothing is wrong with records or database, and at once it may go well. */
export function isConflictOfWriters(error: unknown): boolean {
  return (
    isUuidTaken(error) ||
    isConcurrentKey(error) ||
    (error instanceof DatabaseError && CONFLICTS_OF_WRITERS.has(error.code ?? ""))
  );
}

/** The database refused a value; every other error says nothing about the records and is tried again. */
export function isDataError(error: unknown): error is DatabaseError {
  return (
    error instanceof DatabaseError &&
    DATA_CLASSES.has(error.code?.slice(0, 2) ?? "") &&
    !isUuidTaken(error) &&
    !isConcurrentKey(error)
  );
}

/** Classes 08 (connection), 53 (resources) and 57 (shut down, cancelled): nothing is wrong with the question. */
export function isAway({ code = "" }: DatabaseError): boolean {
  return ["08", "53", "57"].includes(code.slice(0, 2));
}

/** The database was not done within the time that the question had. */
export function isTooSlow({ code }: DatabaseError): boolean {
  return code === QUERY_CANCELED;
}

/** For whoever asked on the admin port: a CallError where the database is away, or was too slow. */
export function explainForOperator(error: unknown): unknown {
  if (error instanceof CallError) return error;
  if (error instanceof DatabaseError && isTooSlow(error)) {
    const message =
      "PostgreSQL was not done within CHOWHOUND_STORE_STATEMENT_TIMEOUT; ask for less, such as one tenant, or have it raised";
    return new CallError("query_too_slow", message, { cause: error });
  }
  if (error instanceof DatabaseError && !isAway(error)) return error;
  const why = `PostgreSQL does not answer: ${(error as Error).message}; try again in a moment`;
  return new CallError("not_ready", why, { cause: error });
}

/** What the database said, without the values that its message may quote. */
export function sanitisedDetail(error: DatabaseError): string {
  const facts = [
    ["SQLSTATE", error.code],
    ["column", error.column],
    ["constraint", error.constraint],
    ["type", error.dataType],
  ].filter(([, value]) => value !== undefined && value !== "");
  const message = error.message.replace(/"[^"]*"|'[^']*'|(?::|\n).*$/gs, (quoted) =>
    quoted === `"${error.constraint}"` || quoted === `"${error.column}"` || quoted === `"${error.table}"`
      ? quoted
      : "…",
  );
  return `${message} (${facts.map(([name, value]) => `${name} ${value}`).join(", ")})`;
}

function isViolationOf(error: unknown, constraint: string): boolean {
  return error instanceof DatabaseError && error.code === UNIQUE_VIOLATION && error.constraint === constraint;
}
