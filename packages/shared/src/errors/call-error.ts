import { CALL_ERRORS, type CallErrorReason } from "./reasons.ts";

export interface FieldViolation {
  field: string;
  description: string;
}

export interface CallErrorOptions {
  /** How long the caller should wait before trying again. */
  retryDelayMs?: number;
  /** The field of the request that is at fault; the message says what is wrong with it. */
  field?: string;
  /** The fields at fault and what is wrong with each, where it is more than one. */
  violations?: readonly FieldViolation[];
  /** Further facts for a program, such as the limit. */
  metadata?: Record<string, string>;
  cause?: unknown;
}

/** A call failed for a documented reason. Carries what the gRPC and the Connect door need to say so. */
export class CallError extends Error {
  override name = "CallError";
  readonly reason: CallErrorReason;
  readonly retryDelayMs: number | undefined;
  readonly violations: readonly FieldViolation[];
  readonly metadata: Record<string, string>;

  /** @param message what is wrong, the limit, and the remedy, for a person */
  constructor(reason: CallErrorReason, message: string, options: CallErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.retryDelayMs = options.retryDelayMs;
    this.violations =
      options.violations ??
      (options.field === undefined ? [] : [{ field: options.field, description: message }]);
    this.metadata = options.metadata ?? {};
  }

  /** The gRPC status code. */
  get code(): number {
    return CALL_ERRORS[this.reason];
  }
}
