import { describe, expect, it } from "vitest";
import { partitionOf } from "./partition.ts";

const of = (tenant: string, type: string, id: string, partitions: number) =>
  partitionOf(tenant, { sourceType: Buffer.from(type), sourceId: Buffer.from(id) }, partitions);

describe("partitionOf", () => {
  it("never changes: records of a source would change their way", () => {
    const sources = ["a", "b", "c", "größe"].map((id) => of("acme", "host", id, 16));
    expect(sources).toMatchInlineSnapshot(`
      [
        4,
        15,
        6,
        14,
      ]
    `);
  });

  it("tells parts apart", () => {
    const spread = new Set([
      of("a", "bc", "d", 65_536),
      of("ab", "c", "d", 65_536),
      of("a", "b", "cd", 65_536),
    ]);
    expect(spread.size).toBe(3);
  });

  it("spreads sources evenly", () => {
    const counts = new Array<number>(8).fill(0);
    for (let i = 0; i < 8_000; i++) counts[of("acme", "host", `web-${i}`, 8)]!++;
    expect(Math.min(...counts)).toBeGreaterThan(850);
    expect(Math.max(...counts)).toBeLessThan(1_150);
  });
});
