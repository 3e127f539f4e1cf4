import { resolve } from "node:path";
import { parseArgs } from "node:util";

export const SCENARIOS = ["loads", "tracing", "calls", "pieces"] as const;

export interface BenchOptions {
  scenario: (typeof SCENARIOS)[number];
  /** Of one load. */
  records: number;
  rounds: number;
  json: boolean;
  /** Where the services write CPU profiles. */
  profileDir: string | undefined;
}

/** The command line is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export const help = `Measures a whole mesh on this machine, as it ships: durable, with validation, keys, dedup and the books, in the
temporary directory (TMPDIR). Scenarios:
  loads     each round has a fresh mesh and lands
              fresh     new records
              copy      the rows of "fresh", by one \\copy of psql into a table with the same rows before and the same indexes
              resent    the same records once more
              updates   newer versions of them
  tracing   each round lands new records on four fresh meshes, in turn: tracing not configured; configured, with a ratio of
            0, of 1 % and of 100 %, and spans going to a receiver that is a process of its own
  calls     each round has a fresh mesh and lands new records in calls of 500, then as many in calls of one record from
            64 clients
  pieces    no mesh: what the gateway's own work costs, in one process; --rounds says how often (default 50)
Exit code 1 if the books don't close.

  npm run bench -- [flags]

  --scenario S    loads, tracing, calls or pieces (default loads)
  --records N     records of a load (default 100000)
  --rounds N      rounds (default 3)
  --quick         one round of 20000
  --json          one JSON object as the last line
  --profile DIR   has every service write CPU profiles there, which slows it down
  --help
`;

/** Undefined where help is asked for. Throws UsageError. */
export function parseBenchOptions(args: readonly string[]): BenchOptions | undefined {
  const values = parseFlags(args);
  if (values.help) return undefined;
  const scenario = parseScenario(values.scenario ?? "loads");
  const rounds = values.quick ? "1" : scenario === "pieces" ? "50" : "3";
  return {
    scenario,
    records: parseCount("records", values.records ?? (values.quick ? "20000" : "100000"), 5_000_000),
    rounds: parseCount("rounds", values.rounds ?? rounds, 100),
    json: values.json,
    profileDir: values.profile === undefined ? undefined : resolve(values.profile),
  };
}

function parseFlags(args: readonly string[]) {
  const flag = { type: "boolean", default: false } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        scenario: { type: "string" },
        records: { type: "string" },
        rounds: { type: "string" },
        profile: { type: "string" },
        quick: flag,
        json: flag,
        help: flag,
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message.split("\n")[0]);
  }
}

function parseScenario(value: string): BenchOptions["scenario"] {
  const scenario = SCENARIOS.find((name) => name === value);
  if (scenario !== undefined) return scenario;
  throw new UsageError(`--scenario: ${JSON.stringify(value)} is none of ${SCENARIOS.join(", ")}`);
}

function parseCount(flag: string, value: string, max: number): number {
  const count = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (count >= 1 && count <= max) return count;
  throw new UsageError(`--${flag}: ${JSON.stringify(value)} is not a number from 1 to ${max}`);
}
