import { describe, expect, it } from "vitest";
import { windowsBack } from "./search-windows.ts";

const YEAR_US = 365 * 86_400_000_000;

describe("windows back in time", () => {
  it("cover the whole time without a gap, newest first", () => {
    for (const fromUs of [0, 59 * YEAR_US - 1, 59 * YEAR_US - 60_000_001]) {
      const windows = [...windowsBack({ fromUs, beforeUs: 59 * YEAR_US })];
      expect(windows[0]!.beforeUs).toBe(59 * YEAR_US);
      expect(windows.at(-1)!.fromUs).toBe(fromUs);
      expect(windows.slice(1).map(({ beforeUs }) => beforeUs)).toEqual(
        windows.slice(0, -1).map((window) => window.fromUs),
      );
    }
  });

  it("are few", () => {
    expect([...windowsBack({ fromUs: 0, beforeUs: 59 * YEAR_US })].length).toBeLessThan(30);
    expect([...windowsBack({ fromUs: 7, beforeUs: 7 })]).toEqual([]);
  });
});
