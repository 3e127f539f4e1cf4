import { CALL_ERRORS, type CallErrorReason } from "./reasons.ts";

export interface CallErrorOptions {
  /** How long the caller should wait before trying again. */
  retryDelayMs?: number;
  /** The field of the request that is at fault. */
  field?: string;
  /** Further facts for a program, such as the limit. */
  metadata?: Record<string, string>;
  cause?: unknown;
}

/** A call failed for a documented reason. Carries what the gRPC and the Connect door need to say so. */
export class CallError extends Error {
  override name = "CallError";
  readonly reason: CallErrorReason;
  readonly retryDelayMs: number | undefined;
  readonly field: string | undefined;
  readonly metadata: Record<string, string>;

  /** @param message what is wrong, the limit, and the remedy, for a person */
  constructor(reason: CallErrorReason, message: string, options: CallErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.retryDelayMs = options.retryDelayMs;
    this.field = options.field;
    this.metadata = options.metadata ?? {};
  }

  /** The gRPC status code. */
  get code(): number {
    return CALL_ERRORS[this.reason];
  }
}
