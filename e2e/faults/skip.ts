import type { NatsServerBinary } from "@chowhound/local/nats-server-binary";
import { hasCommit } from "./harness/old-software.ts";
import type { Scenario } from "./harness/scenario.ts";

/** Why a scenario can't be played with this nats-server; undefined where it can. */
export function reasonToSkip(
  { killsNats = false, needsCommit }: Scenario,
  { version, crashSafe }: Pick<NatsServerBinary, "version" | "crashSafe">,
): string | undefined {
  if (needsCommit !== undefined && !hasCommit(needsCommit))
    return `the history of this checkout doesn't reach back to ${needsCommit}`;
  return killsNats && !crashSafe
    ? `nats-server ${version} loses or stalls messages when it is killed`
    : undefined;
}
