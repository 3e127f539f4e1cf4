import { beforeEach, describe, expect, test, vi } from "vitest";
import { ServiceState, ServiceStatus } from "./service-status.ts";

let status: ServiceStatus;
const changed = vi.fn();

beforeEach(() => {
  changed.mockReset();
  status = new ServiceStatus();
  status.onChange(changed);
});

describe("serving", () => {
  test("means running with every dependency up", () => {
    const nats = status.dependency("nats");
    const postgres = status.dependency("postgres");
    status.state = ServiceState.RUNNING;
    expect(status.isServing).toBe(false);
    nats.up();
    expect(status.isServing).toBe(false);
    postgres.up();
    expect(status.isServing).toBe(true);
    nats.down("connection lost");
    expect(status.isServing).toBe(false);
    expect(status.dependencies).toEqual([
      { name: "nats", isUp: false },
      { name: "postgres", isUp: true },
    ]);
  });

  test("what is reached through another dependency is up only with that one", () => {
    const nats = status.dependency("nats");
    const stream = status.dependency("stream", { through: "nats" });
    stream.up();
    expect(status.dependencies).toContainEqual({ name: "stream", isUp: false });
    nats.up();
    expect(status.dependencies).toContainEqual({ name: "stream", isUp: true });
    nats.down("connection lost");
    expect(status.dependencies).toContainEqual({ name: "stream", isUp: false });
    expect(status.waitingFor).toEqual(["nats: connection lost"]);
  });

  test.each(["STARTING", "PAUSED", "DRAINING"] as const)("is not %s", (state) => {
    status.state = ServiceState.RUNNING;
    expect(status.isServing).toBe(true);
    status.state = ServiceState[state];
    expect(status.isServing).toBe(false);
  });

  test("is not a fresh process", () => {
    expect(status.state).toBe(ServiceState.STARTING);
    expect(status.isServing).toBe(false);
  });
});

describe("what the process waits for", () => {
  test("names each dependency that is down, with the latest reason", () => {
    const nats = status.dependency("nats");
    const postgres = status.dependency("postgres");
    expect(status.waitingFor).toEqual(["nats: not connected yet", "postgres: not connected yet"]);
    nats.down("refused");
    nats.down("timeout");
    postgres.up();
    expect(status.waitingFor).toEqual(["nats: timeout"]);
    nats.up();
    expect(status.waitingFor).toEqual([]);
  });
});

describe("listeners", () => {
  test("hear of every change once, and of nothing else", () => {
    const nats = status.dependency("nats");
    expect(changed).toHaveBeenCalledTimes(1);
    nats.down("again");
    expect(changed).toHaveBeenCalledTimes(1);
    nats.up();
    nats.up();
    expect(changed).toHaveBeenCalledTimes(2);
    status.state = ServiceState.RUNNING;
    status.state = ServiceState.RUNNING;
    expect(changed).toHaveBeenCalledTimes(3);
    nats.down("lost");
    nats.down("still lost");
    expect(changed).toHaveBeenCalledTimes(4);
  });

  test("see the new status", () => {
    const seen: boolean[] = [];
    status.onChange(() => seen.push(status.isServing));
    status.state = ServiceState.RUNNING;
    status.state = ServiceState.PAUSED;
    expect(seen).toEqual([true, false]);
  });
});
