import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Scenario } from "./scenario.ts";

export interface BenchOptions {
  /** What is played, in the order of all there are. */
  scenarios: readonly Scenario[];
  quick: boolean;
  /** Undefined: each scenario's own. */
  records: number | undefined;
  rounds: number | undefined;
  seconds: number | undefined;
  json: boolean;
  /** Keep what was measured with the documentation. */
  save: boolean;
  /** Where the services write CPU profiles. */
  profileDir: string | undefined;
}

/** The command line is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const MAX_MINUTES = 24 * 60;

export function renderHelp(scenarios: readonly Scenario[]): string {
  const names = scenarios.filter(({ isUsual }) => isUsual).map(({ name }) => name);
  return `Measures a whole mesh on this machine, as it ships: durable, with validation, keys, dedup and the books, in the
temporary directory (TMPDIR). Exit code 1 if the books don't close. Scenarios:
${scenarios.map(({ name, about }) => `  ${name.padEnd(10)}${about.replaceAll("\n", `\n${" ".repeat(12)}`)}`).join("\n")}

  npm run bench -- [flags]

  --scenario S    one or several, with commas; "all" (without soak). By default ${names.join(", ")}
  --quick         small runs, by default of the first scenario alone: to see that it works, not to measure
  --records N     records of a load, instead of the scenario's own number
  --rounds N      rounds, instead of the scenario's own number
  --minutes N     for what runs for a while, such as soak
  --json          one JSON object as the last line
  --save          keep the results in bench/results; \`npm run docs\` shows them in docs/benchmarks.md
  --profile DIR   has every service write CPU profiles there, which slows it down
  --help
`;
}

/** Undefined where help is asked for. Throws UsageError. */
export function parseBenchOptions(
  args: readonly string[],
  all: readonly Scenario[],
): BenchOptions | undefined {
  const values = parseFlags(args);
  if (values.help) return undefined;
  const { quick, json, save } = values;
  return {
    scenarios: chooseScenarios(values.scenario, quick, all),
    quick,
    records: values.records === undefined ? undefined : parseCount("records", values.records, 5_000_000),
    rounds: values.rounds === undefined ? undefined : parseCount("rounds", values.rounds, 1000),
    seconds:
      values.minutes === undefined ? undefined : parseCount("minutes", values.minutes, MAX_MINUTES) * 60,
    json,
    save,
    profileDir: values.profile === undefined ? undefined : resolve(values.profile),
  };
}

function parseFlags(args: readonly string[]) {
  const flag = { type: "boolean", default: false } as const;
  const text = { type: "string" } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        scenario: text,
        records: text,
        rounds: text,
        minutes: text,
        profile: text,
        quick: flag,
        json: flag,
        save: flag,
        help: flag,
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message.split("\n")[0]);
  }
}

function chooseScenarios(
  value: string | undefined,
  quick: boolean,
  all: readonly Scenario[],
): readonly Scenario[] {
  if (value === undefined) return quick ? all.slice(0, 1) : all.filter(({ isUsual }) => isUsual);
  if (value === "all") return all.filter(({ name }) => name !== "soak");
  const names = value.split(",");
  const unknown = names.find((name) => all.every((scenario) => scenario.name !== name));
  if (unknown !== undefined) {
    const known = all.map(({ name }) => name).join(", ");
    throw new UsageError(`--scenario: ${JSON.stringify(unknown)} is none of ${known}`);
  }
  return all.filter(({ name }) => names.includes(name));
}

function parseCount(flag: string, value: string, max: number): number {
  const count = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (count >= 1 && count <= max) return count;
  throw new UsageError(`--${flag}: ${JSON.stringify(value)} is not a number from 1 to ${max}`);
}
