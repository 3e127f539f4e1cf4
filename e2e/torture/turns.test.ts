import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Turns } from "./turns.ts";

describe("turns", () => {
  it("come one after the other where something is needed twice, and at once where nothing is", async () => {
    const turns = new Turns();
    const seen: string[] = [];
    const use = (name: string, needed: string[]) =>
      turns.take(needed, async () => {
        seen.push(`${name} begins`);
        await sleep(5);
        seen.push(`${name} ends`);
      });
    await Promise.all([
      use("a", ["nats"]),
      use("b", ["store", "nats"]),
      use("c", ["store"]),
      use("d", ["dedup"]),
    ]);
    expect(seen.slice(0, 2)).toEqual(["a begins", "d begins"]);
    const order = (line: string) => seen.indexOf(line);
    expect(order("a ends")).toBeLessThan(order("b begins"));
    expect(order("b ends")).toBeLessThan(order("c begins"));
  });

  it("go on after one that failed", async () => {
    const turns = new Turns();
    const failed = turns.take(["nats"], () => Promise.reject(new Error("no")));
    const next = turns.take(["nats"], async () => "done");
    await expect(failed).rejects.toThrow("no");
    expect(await next).toBe("done");
  });
});
