import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HeldAck } from "./held-ack.ts";

describe("the latest acknowledgement", () => {
  let sent: number[];
  const message = (number: number) => ({ ack: () => void sent.push(number) });

  beforeEach(() => {
    sent = [];
    vi.useFakeTimers();
  });
  afterEach(() => void vi.useRealTimers());

  it("is held until the next one, in order", () => {
    const held = new HeldAck();
    for (const number of [1, 2, 3]) held.follow(message(number));
    expect(sent).toEqual([1, 2]);
  });

  it("is held for a moment only", () => {
    const held = new HeldAck();
    held.follow(message(1));
    vi.advanceTimersByTime(24);
    expect(sent).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(sent).toEqual([1]);
    held.follow(message(2));
    vi.advanceTimersByTime(1_000);
    expect(sent).toEqual([1, 2]);
  });

  it("is sent once where somebody asks for it", () => {
    const held = new HeldAck();
    held.follow(message(1));
    held.send();
    held.send();
    vi.advanceTimersByTime(1_000);
    expect(sent).toEqual([1]);
  });
});
