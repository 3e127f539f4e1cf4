import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

/** Starts telemetry in a process of its own; tells which of OpenTelemetry's packages that has loaded. */
async function loadedPackages(changes: object): Promise<string[]> {
  const program = `
    import { registerHooks } from "node:module";
    const loaded = new Set();
    registerHooks({
      load: (url, context, nextLoad) => {
        const name = /@opentelemetry\\/([^/]+)/.exec(url)?.[1];
        if (name !== undefined) loaded.add(name);
        return nextLoad(url, context);
      },
    });
    for (const door of ["service/run-service", "stream/stage-consumer", "telemetry/server-span", "telemetry/write-trace"])
      await import("@chowhound/shared/" + door);
    const { startTelemetry } = await import("@chowhound/shared/telemetry/start-telemetry");
    const { readConfig } = await import("@chowhound/shared/runtime/config");
    const { telemetrySettings } = await import("@chowhound/shared/runtime/common-settings");
    const { Meter } = await import("@chowhound/shared/telemetry/meter");
    const config = { ...readConfig(telemetrySettings, {}), ...JSON.parse(process.argv[1]) };
    const log = { info() {}, warn() {} };
    const identity = { service: "store", version: "0", instanceId: "1" };
    const telemetry = await startTelemetry(config, { identity, meter: new Meter("store"), log });
    await telemetry.stop();
    console.log([...loaded].join());`;
  const { stdout } = await promisify(execFile)(
    "node",
    ["--input-type=module", "-e", program, JSON.stringify(changes)],
    {
      cwd: import.meta.dirname,
    },
  );
  return stdout.trim().split(",").sort();
}

describe("telemetry", () => {
  it("loads no SDK where it is off", async () => {
    expect(await loadedPackages({})).toEqual(["api", "semantic-conventions"]);
    expect(
      await loadedPackages({ otlpMetricsEndpoint: "http://127.0.0.1:1", metricsExporter: "none" }),
    ).toEqual(["api", "semantic-conventions"]);
  });

  it.each([
    ["a collector to send to", { otlpEndpoint: "http://127.0.0.1:1" }],
    ["one for spans", { otlpTracesEndpoint: "http://127.0.0.1:1/v1/traces" }],
    ["one for metrics", { otlpMetricsEndpoint: "http://127.0.0.1:1/v1/metrics" }],
    ["a port to scrape", { metricsPort: 0 }],
  ])(
    "loads it where there is %s",
    async (_what, changes) => {
      expect(await loadedPackages(changes)).toContain("sdk-node");
    },
    30_000,
  );
});
