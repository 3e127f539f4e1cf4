import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

/** Starts telemetry in a process of its own; tells which of OpenTelemetry's packages that has loaded. */
async function loadedPackages(endpoint: string): Promise<string[]> {
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
    const config = { otlpEndpoint: process.argv[1], otlpTracesEndpoint: "", traceRatio: 0 };
    const log = { info() {}, warn() {} };
    const telemetry = await startTelemetry(config, { service: "test", version: "0", log });
    await telemetry.stop();
    console.log([...loaded].join());`;
  const { stdout } = await promisify(execFile)("node", ["--input-type=module", "-e", program, endpoint], {
    cwd: import.meta.dirname,
  });
  return stdout.trim().split(",").sort();
}

describe("telemetry", () => {
  it("loads no SDK where it is off", async () => {
    expect(await loadedPackages("")).toEqual(["api", "semantic-conventions"]);
  });

  it("loads it where there is a collector to send to", async () => {
    expect(await loadedPackages("http://127.0.0.1:1")).toContain("sdk-node");
  });
});
