import { describe, expect, it } from "vitest";
import { InFlightBytes } from "./in-flight-bytes.ts";

describe("InFlightBytes", () => {
  it("bounds the total and each tenant", async () => {
    const inFlight = new InFlightBytes(100, 60);
    expect(await inFlight.take("acme", 60)).toBe(true);
    expect(await inFlight.take("acme", 1)).toBe(false);
    expect(await inFlight.take("umbrella", 41)).toBe(false);
    expect(await inFlight.take("umbrella", 40)).toBe(true);
    inFlight.release("acme", 60);
    expect(await inFlight.take("acme", 1)).toBe(true);
    expect(inFlight.total).toBe(41);
  });

  it("lets a call wait for room, in order, past tenants that have none", async () => {
    const inFlight = new InFlightBytes(100, 50);
    await inFlight.take("acme", 50);
    await inFlight.take("umbrella", 50);
    const order: string[] = [];
    const wait = (tenantId: string, name: string) =>
      inFlight.take(tenantId, 30, 5_000).then((admitted) => order.push(`${name} ${admitted}`));
    const waits = [wait("acme", "a1"), wait("acme", "a2"), wait("umbrella", "u1")];
    expect(await inFlight.take("umbrella", 1)).toBe(false);
    inFlight.release("umbrella", 50);
    await waits[2];
    expect(order).toEqual(["u1 true"]);
    inFlight.release("acme", 50);
    await waits[0];
    inFlight.release("acme", 30);
    await waits[1];
    expect(order).toEqual(["u1 true", "a1 true", "a2 true"]);
  });

  it("gives up after the wait and counts nothing", async () => {
    const inFlight = new InFlightBytes(10, 10);
    await inFlight.take("acme", 10);
    expect(await inFlight.take("acme", 5, 10)).toBe(false);
    inFlight.release("acme", 10);
    expect(inFlight.total).toBe(0);
  });
});
