import { describe, expect, it } from "vitest";
import { StuckWatch } from "./stuck-watch.ts";

const stuck = { messages: 12, pending: 5, unacknowledged: 4 };
const healthy = { messages: 9, pending: 5, unacknowledged: 4 };

describe("StuckWatch", () => {
  it("is certain only when every look for the whole time was suspicious", () => {
    const watch = new StuckWatch(60_000);
    expect(watch.look(stuck, 0)).toBe(0);
    expect(watch.look(stuck, 59_999)).toBe(0);
    expect(watch.look(stuck, 60_000)).toBe(3);
  });

  it("forgets a suspicion that one healthy look refutes", () => {
    const watch = new StuckWatch(60_000);
    watch.look(stuck, 0);
    watch.look(healthy, 30_000);
    expect(watch.look(stuck, 60_000)).toBe(0);
    expect(watch.look(stuck, 119_999)).toBe(0);
    expect(watch.look(stuck, 120_000)).toBe(3);
  });

  it("forgets a suspicion when it couldn't look in between", () => {
    const watch = new StuckWatch(60_000);
    watch.look(stuck, 0);
    watch.forget();
    expect(watch.look(stuck, 60_000)).toBe(0);
  });

  it("begins anew after it has told", () => {
    const watch = new StuckWatch(1_000);
    watch.look(stuck, 0);
    expect(watch.look(stuck, 1_000)).toBe(3);
    expect(watch.look(stuck, 1_500)).toBe(0);
  });

  it("is not misled by a count that lags behind", () => {
    expect(new StuckWatch(0).look({ messages: 3, pending: 4, unacknowledged: 1 }, 0)).toBe(0);
  });
});
