import { verdicts } from "@chowhound/local/books";
import type { ScenarioResult } from "./harness/run-scenario.ts";

/** A scenario that was not played, and why. */
export interface Skipped {
  name: string;
  title: string;
  skipped: string;
}

export type Played = ScenarioResult | Skipped;

/** A table in Markdown: what was done, and what came of it. */
export function renderTable(played: readonly Played[]): string {
  const header = ["scenario", "faults", "records", "calls repeated", "recovery", "verdicts", "result"];
  const rows = played.map((each) => {
    if ("skipped" in each) return [each.title, "", "", "", "", "", `skipped: ${each.skipped}`];
    return [
      each.title,
      String(each.faults),
      String(each.records),
      String(each.failedCalls),
      each.recoveryMs === undefined ? "" : `${(each.recoveryMs / 1000).toFixed(1)} s`,
      verdicts
        .filter((verdict) => each.verdicts[verdict] > 0)
        .map((verdict) => `${each.verdicts[verdict]} ${verdict}`)
        .join(", "),
      each.problems.length === 0 ? "nothing lost" : "FAILED",
    ];
  });
  return [header, header.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
