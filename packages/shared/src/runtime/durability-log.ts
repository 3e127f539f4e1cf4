import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import type { Logger } from "./logger.ts";

/** What can be lost of something acknowledged. */
interface DurabilityReport {
  level: DurabilityLevel;
  /** Empty where a power failure loses nothing. */
  warnings: readonly string[];
}

/** Returns what logs a report where it differs from the one before. @param what such as "accepted records" */
export function createDurabilityLog(what: string, log: Logger): (report: DurabilityReport) => void {
  let logged = "";
  return ({ level, warnings }) => {
    const shown = JSON.stringify([level, warnings]);
    if (shown === logged) return;
    logged = shown;
    const durability = durabilityName(level);
    if (warnings.length === 0) log.info({ durability }, `${what} survive a power failure`);
    else log.warn({ durability, warnings }, `${what} can be lost`);
  };
}

/** Such as "synced". */
export function durabilityName(level: DurabilityLevel): string {
  const [name = "unknown"] = Object.entries(DurabilityLevel).find(([, value]) => value === level) ?? [];
  return name.toLowerCase();
}
