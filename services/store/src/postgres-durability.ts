import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import type { SinkDurability } from "./ingestion-writer.ts";

/** PostgreSQL's settings that decide what a commit is worth, as a session of the store has them. */
export type CommitSettings = Record<"fsync" | "synchronous_commit" | "full_page_writes", string>;

/** What a commit is worth under these settings. */
export function judgeCommit(settings: CommitSettings): SinkDurability {
  const warnings: string[] = [];
  if (settings.synchronous_commit === "off")
    warnings.push(
      "PostgreSQL has synchronous_commit=off: a crash of PostgreSQL loses what was committed just before, and NATS no longer has it; set synchronous_commit=on for the store's database and user",
    );
  if (settings.fsync === "off")
    warnings.push(
      "PostgreSQL has fsync=off: a power failure may lose what was committed, or ruin the database; set fsync=on",
    );
  if (settings.full_page_writes === "off")
    warnings.push(
      "PostgreSQL has full_page_writes=off: a power failure may ruin pages that were being written; set full_page_writes=on",
    );
  const level =
    settings.synchronous_commit === "off"
      ? DurabilityLevel.MEMORY
      : warnings.length > 0
        ? DurabilityLevel.WRITTEN
        : DurabilityLevel.SYNCED;
  return { level, warnings, settings };
}
