import { describe, expect, it } from "vitest";
import { renderFaults, spread } from "./report.ts";

describe("the report", () => {
  it("counts faults by kind, with the recovery of those that had no other in the way", () => {
    const faults = [
      { kind: "kill", recoveryMs: 300 },
      { kind: "cut", recoveryMs: undefined },
      { kind: "kill", recoveryMs: 1_200 },
      { kind: "kill", recoveryMs: 400 },
    ];
    expect(renderFaults(faults)).toBe(
      [
        "| fault | times | recovery, median | recovery, max |",
        "| --- | --- | --- | --- |",
        "| cut | 1 |  |  |",
        "| kill | 3 | 0.4 s | 1.2 s |",
      ].join("\n"),
    );
  });

  it("has no figures where nothing was measured", () => {
    expect(spread([])).toEqual({ median: undefined, max: undefined });
  });
});
