import { CallError } from "@chowhound/shared/errors/call-error";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { Meter } from "@chowhound/shared/telemetry/meter";
import { type CallTrace, startCallTrace } from "./call-trace.ts";
import type { Admit, CallHead } from "./ingestor.ts";
import type { Authenticator } from "./keys.ts";

export interface ServeDependencies {
  authenticate: Authenticator;
  meter: Meter;
  log: Logger;
}

/** Whose call it is, and how it is traced. */
export interface Caller {
  tenantId: string;
  trace: CallTrace;
}

/**
 * What all calls have in common: a known key before any work, a span, failures counted. Rejects with CallError, and with
 * nothing else.
 */
export type Serve = <T>(head: CallHead, work: (caller: Caller) => Promise<T>) => Promise<T>;

export function createServe(dependencies: ServeDependencies): Serve {
  const { meter, log } = dependencies;
  return async (head, work) => {
    try {
      const tenantId = identify(head.authorization, dependencies);
      // Only now: who has no key can't have the mesh write spans.
      return await traced(startCallTrace(head), (trace) => work({ tenantId, trace }), log);
    } catch (error) {
      const known = toCallError(error, log);
      meter.count("chowhound.calls.refused", 1, { "chowhound.reason": known.reason });
      throw known;
    }
  };
}

/** Refuses strangers before they have sent anything. */
export function createAdmit(dependencies: Pick<ServeDependencies, "authenticate" | "meter">): Admit {
  return (authorization) => {
    try {
      identify(authorization, dependencies);
    } catch (error) {
      dependencies.meter.count("chowhound.calls.refused", 1, { "chowhound.reason": "unauthenticated" });
      throw error;
    }
  };
}

async function traced<T>(trace: CallTrace, work: (trace: CallTrace) => Promise<T>, log: Logger): Promise<T> {
  try {
    const result = await work(trace);
    trace.span?.end();
    return result;
  } catch (error) {
    const { traceId } = trace.context;
    const known = toCallError(error, traceId === "" ? log : log.child({ trace_id: traceId }));
    trace.span?.end(known);
    throw known;
  }
}

/** The caller's tenant. Throws CallError. */
function identify(
  authorization: string | undefined,
  { authenticate }: Pick<ServeDependencies, "authenticate">,
): string {
  const tenantId = authenticate(authorization);
  if (tenantId !== undefined) return tenantId;
  throw new CallError(
    "unauthenticated",
    "the call carries no valid key; send the header authorization: Bearer <key>",
  );
}

function toCallError(error: unknown, log: Logger): CallError {
  if (error instanceof CallError) return error;
  log.error({ err: error }, "a call failed unexpectedly");
  return new CallError("internal", "internal error; see the gateway's log", { cause: error });
}
