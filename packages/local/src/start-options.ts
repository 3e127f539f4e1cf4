import { join } from "node:path";
import { parseArgs } from "node:util";
import type { PortInUseError } from "./free-port.ts";
import type { MeshPorts } from "./mesh-parts.ts";
import { repositoryRoot } from "./node-binary.ts";

/** 2469 is CHOW on the keys of a telephone. */
const portFlags = {
  grpc: { flag: "grpc-port", port: 24690, what: "gateway: gRPC" },
  http: { flag: "http-port", port: 24691, what: "gateway: Connect, gRPC-Web, JSON over HTTP" },
  nats: { flag: "nats-port", port: 24692, what: "NATS" },
  postgres: { flag: "postgres-port", port: 24693, what: "PostgreSQL" },
  gatewayAdmin: { flag: "gateway-admin-port", port: 24694, what: "admin port of the gateway" },
  enricherAdmin: { flag: "enricher-admin-port", port: 24695, what: "admin port of the enricher" },
  dedupAdmin: { flag: "dedup-admin-port", port: 24696, what: "admin port of dedup" },
  storeAdmin: { flag: "store-admin-port", port: 24697, what: "admin port of the store" },
  gatewayMetrics: { flag: "gateway-metrics-port", port: 24700, what: "with --metrics: of the gateway" },
  enricherMetrics: { flag: "enricher-metrics-port", port: 24701, what: "with --metrics: of the enricher" },
  dedupMetrics: { flag: "dedup-metrics-port", port: 24702, what: "with --metrics: of dedup" },
  storeMetrics: { flag: "store-metrics-port", port: 24703, what: "with --metrics: of the store" },
} as const satisfies Record<keyof MeshPorts, { flag: string; port: number; what: string }>;

const portNames = Object.keys(portFlags) as (keyof typeof portFlags)[];

export interface StartOptions {
  help: boolean;
  /** Shows how the mesh is doing, where the output is a terminal. */
  live: boolean;
  dataDir: string;
  ports: Record<keyof typeof portFlags, number>;
  /** Each service shows its metrics. */
  metrics: boolean;
}

/** The command line cannot be used; the message is one line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Reads the command line of `npm start`. Throws UsageError. */
export function parseStartOptions(args: readonly string[]): StartOptions {
  const values = parseFlags(args);
  const ports = Object.fromEntries(
    portNames.map((name) => [name, parsePort(portFlags[name].flag, values[portFlags[name].flag])]),
  ) as StartOptions["ports"];
  const byPort = new Map<number, string>();
  for (const name of portNames) {
    const { flag } = portFlags[name];
    const other = ports[name] === 0 ? undefined : byPort.get(ports[name]);
    if (other !== undefined) throw new UsageError(`--${flag} and --${other} are both ${ports[name]}`);
    byPort.set(ports[name], flag);
  }
  return {
    help: values.help === true,
    live: values["no-live"] !== true,
    dataDir: String(values["data-dir"]),
    ports,
    metrics: values.metrics === true,
  };
}

export const startHelp = `Starts a whole mesh on this machine: NATS, PostgreSQL and the four services, on 127.0.0.1.
Ctrl-C drains and stops it; a second Ctrl-C stops it at once. Its data stays.

  npm start -- [flags]

${portNames.map((name) => `  --${portFlags[name].flag.padEnd(21)} ${String(portFlags[name].port).padEnd(12)} ${portFlags[name].what} (0: any free port)`).join("\n")}
  --metrics                            each service shows its metrics to Prometheus (docs/metrics.md)
  --data-dir              .chowhound   streams, database, keys, logs
  --no-live                            on a terminal: no view of how the mesh is doing
  --help
`;

/** One line for a port that is taken: who wants it, and the flag that changes it. */
export function explainPortInUse(error: PortInUseError, ports: StartOptions["ports"]): string {
  const name = portNames.find((candidate) => ports[candidate] === error.port);
  if (name === undefined) return error.message;
  const { flag, what } = portFlags[name];
  return `port ${error.port} is taken (wanted for ${what}); choose another with --${flag}`;
}

function parseFlags(args: readonly string[]) {
  const text = (fallback: string) => ({ type: "string", default: fallback }) as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...Object.fromEntries(
          portNames.map((name) => [portFlags[name].flag, text(String(portFlags[name].port))]),
        ),
        "data-dir": text(join(repositoryRoot, ".chowhound")),
        metrics: { type: "boolean", default: false },
        "no-live": { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values as Record<string, string | boolean>;
  } catch (error) {
    throw new UsageError((error as Error).message.split("\n")[0]);
  }
}

function parsePort(flag: string, value: string | boolean | undefined): number {
  const port = typeof value === "string" && /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN;
  if (port >= 0 && port <= 65_535) return port;
  throw new UsageError(`--${flag}: ${JSON.stringify(value)} is not a port from 0 to 65535`);
}
