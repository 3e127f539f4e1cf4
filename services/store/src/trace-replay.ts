import { DeadLetterService } from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { rpcMethod, type ServerSpan, startServerSpan } from "@chowhound/shared/telemetry/server-span";
import { parseTraceparent } from "@chowhound/shared/telemetry/traceparent";
import type { Metadata } from "@grpc/grpc-js";
import type { ReplayProgress } from "./replay-letters.ts";

const RPC = rpcMethod("grpc", DeadLetterService.method.replayDeadLetters);

/** Runs a replay within a span below the caller's, or within one that is picked by chance, or within none. */
export async function* traceReplay(
  metadata: Metadata,
  run: (span: ServerSpan | undefined) => AsyncIterable<ReplayProgress>,
): AsyncGenerator<ReplayProgress> {
  const header = (name: string): string => metadata.get(name)[0]?.toString() ?? "";
  const span = startServerSpan(RPC, parseTraceparent(header("traceparent"), header("tracestate")));
  let failure: CallError | undefined;
  try {
    for await (const progress of run(span)) {
      span?.setAttributes({
        "chowhound.dead_letters.matched": progress.matched,
        "chowhound.dead_letters.published": progress.published,
        "chowhound.dead_letters.skipped": progress.skipped,
      });
      yield progress;
    }
  } catch (error) {
    failure = error instanceof CallError ? error : new CallError("internal", "internal error");
    throw error;
  } finally {
    // Also where the caller is gone and nobody asks for more.
    span?.end(failure);
  }
}
