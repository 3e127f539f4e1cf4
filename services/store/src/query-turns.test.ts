import { describe, expect, it } from "vitest";
import { QueryTurns } from "./query-turns.ts";

const options = { atOnce: 4, atOnceOfTenant: 2, maxWaiting: 10, maxWaitMs: 10_000 };

/** Work that lasts until the test ends it. */
function createDesk(turns: QueryTurns) {
  const begun: string[] = [];
  const endOf = new Map<string, () => void>();
  const ask = (name: string): Promise<void> =>
    turns.run(name[0]!, async () => {
      begun.push(name);
      await new Promise<void>((resolve) => endOf.set(name, resolve));
    });
  const end = async (name: string): Promise<void> => {
    endOf.get(name)!();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { begun, ask, end };
}

describe("QueryTurns", () => {
  it("lets one tenant have its share and no more, however much it asks", async () => {
    const { begun, ask, end } = createDesk(new QueryTurns(options));
    for (const name of ["a1", "a2", "a3", "a4"]) void ask(name);
    expect(begun).toEqual(["a1", "a2"]);
    void ask("b1");
    expect(begun).toEqual(["a1", "a2", "b1"]);
    await end("a2");
    expect(begun).toEqual(["a1", "a2", "b1", "a3"]);
  });

  it("calls first whose tenant has the fewest running, then who has waited longest", async () => {
    const { begun, ask, end } = createDesk(new QueryTurns({ ...options, atOnceOfTenant: 3 }));
    for (const name of ["a1", "a2", "b1", "b2", "a3", "b3", "c1", "c2"]) void ask(name);
    expect(begun).toEqual(["a1", "a2", "b1", "b2"]);
    await end("b1");
    await end("a1");
    await end("b2");
    expect(begun.slice(4)).toEqual(["c1", "a3", "b3"]);
  });

  it("refuses who has waited too long, and who finds too many waiting", async () => {
    const turns = new QueryTurns({ atOnce: 1, atOnceOfTenant: 1, maxWaiting: 1, maxWaitMs: 20 });
    const { begun, ask, end } = createDesk(turns);
    void ask("a");
    const waited = ask("b");
    await expect(ask("c")).rejects.toMatchObject({ reason: "too_many_queries" });
    await expect(waited).rejects.toMatchObject({ reason: "too_many_queries" });
    await end("a");
    void ask("d");
    expect(begun).toEqual(["a", "d"]);
  });

  it("goes on after work that failed", async () => {
    const turns = new QueryTurns({ ...options, atOnce: 1 });
    await expect(turns.run("a", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await turns.run("a", async () => "yes")).toBe("yes");
  });
});
