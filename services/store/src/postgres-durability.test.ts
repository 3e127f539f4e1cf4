import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { expect, test } from "vitest";
import { type CommitSettings, judgeCommit } from "./postgres-durability.ts";

const defaults: CommitSettings = { fsync: "on", synchronous_commit: "on", full_page_writes: "on" };

test.each<[Partial<CommitSettings>, keyof typeof DurabilityLevel]>([
  [{}, "SYNCED"],
  [{ synchronous_commit: "local" }, "SYNCED"],
  [{ synchronous_commit: "remote_apply" }, "SYNCED"],
  [{ synchronous_commit: "off" }, "MEMORY"],
  [{ fsync: "off" }, "WRITTEN"],
  [{ full_page_writes: "off" }, "WRITTEN"],
  [{ fsync: "off", synchronous_commit: "off" }, "MEMORY"],
])("%j: %s, and each unsafe setting is named", (changed, level) => {
  const report = judgeCommit({ ...defaults, ...changed });
  expect(report.level).toBe(DurabilityLevel[level]);
  const unsafe = Object.entries(changed).filter(([, value]) => value === "off");
  expect(report.warnings).toHaveLength(unsafe.length);
  for (const [name] of unsafe) expect(report.warnings.join()).toContain(`${name}=off`);
});
