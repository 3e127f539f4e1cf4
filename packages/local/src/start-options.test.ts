import { expect, test } from "vitest";
import { PortInUseError } from "./free-port.ts";
import { explainPortInUse, parseStartOptions, startHelp } from "./start-options.ts";

test("has fixed ports, each with a flag that changes it", () => {
  const { ports, help } = parseStartOptions([]);
  expect(help).toBe(false);
  expect(new Set(Object.values(ports)).size).toBe(12);
  for (const [name, port] of Object.entries(ports)) {
    const message = explainPortInUse(new PortInUseError("something", port), ports);
    expect(message).toContain(`port ${port} is taken`);
    const flag = /--[a-z-]+$/.exec(message)?.[0] ?? "";
    expect(startHelp).toContain(flag);
    expect(parseStartOptions([flag, "4711"]).ports).toEqual({ ...ports, [name]: 4711 });
  }
});

test("shows metrics where asked to", () => {
  expect(parseStartOptions([]).metrics).toBe(false);
  expect(parseStartOptions(["--metrics"]).metrics).toBe(true);
});

test("takes free ports where 0 is asked for, any number of times", () => {
  const { ports } = parseStartOptions(["--grpc-port=0", "--http-port=0"]);
  expect([ports.grpc, ports.http]).toEqual([0, 0]);
});

test.each([
  [["--grpc-port", "70000"], '--grpc-port: "70000" is not a port from 0 to 65535'],
  [["--grpc-port", "x"], '--grpc-port: "x" is not a port from 0 to 65535'],
  [["--grpc-port=7000", "--nats-port=7000"], "--nats-port and --grpc-port are both 7000"],
  [["--grcp-port=7000"], "Unknown option '--grcp-port'"],
  [["now"], "Unexpected argument 'now'"],
])("refuses %j in one line", (args, message) => {
  expect(() => parseStartOptions(args)).toThrow(message);
});

test("shows how the mesh is doing unless told not to", () => {
  expect(parseStartOptions([]).live).toBe(true);
  expect(parseStartOptions(["--no-live"]).live).toBe(false);
});
