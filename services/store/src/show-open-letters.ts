import type { Meter } from "@chowhound/shared/telemetry/meter";
import { TENANT } from "@chowhound/shared/telemetry/metric-registry";
import type { DeadLetterArchive } from "./dead-letter-archive.ts";

/** However often metrics are collected. */
const EVERY_MS = 10_000;
/** Open letters that are counted at most: what it costs is bounded, and more than that is as bad. */
export const MAX_COUNTED = 50_000;

/** Has the meter tell how many dead letters wait to be replayed or given up. Unknown while the sink is away: better no figures than old ones. */
export function showOpenLetters(
  meter: Meter,
  archive: Pick<DeadLetterArchive, "countOpenByTenant">,
  now: () => number = () => performance.now(),
): void {
  let countedMs = Number.NEGATIVE_INFINITY;
  meter.onCollect(async () => {
    if (now() - countedMs < EVERY_MS) return;
    countedMs = now();
    const counts = await archive.countOpenByTenant(MAX_COUNTED).catch(() => []);
    meter.replace(
      "chowhound.dead_letters.open",
      counts.map(({ tenantId, count }) => ({ value: count, attributes: { [TENANT]: tenantId } })),
    );
  });
}
