import { parseArgs } from "node:util";
import type { FaultKind } from "./fault-kind.ts";
import { FAULT_KINDS, kindsFor, SABOTAGE_KINDS } from "./fault-kinds.ts";
import { NATS_SERVERS, type NatsServers } from "./run-torture.ts";

export interface CommandOptions {
  /** Undefined: another one each time. */
  seed: number | undefined;
  minutes: number;
  rounds: number;
  kinds: ReadonlyMap<string, FaultKind>;
  /** The names given, to be given again. */
  faults: string | undefined;
  natsServers: NatsServers | undefined;
  keepFiles: boolean;
  jsonFile: string | undefined;
}

/** The command line is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const HELP_WIDTH = 120;

export const help = `Tortures a mesh of real processes (two of each service): round after round a mix of load and of one to three faults, at moments and
on victims that the seed decides. Every few rounds all comes to rest and is judged: the audit, each row and dead letter
against what the producers know, memory and logs. After 24 rounds the next mesh is tortured: one has one NATS server, the next one
a cluster of three, with three copies of each stream.

  npm run torture -- [flags]

  --minutes N     how long (default 10); it ends after the round that is under way, as it does after Ctrl-C
  --rounds N      how many rounds, instead of or besides
  --seed N        decides loads and faults; by default another one each time
  --faults a,b    only these kinds of faults
  --nats 1|3      only meshes with one NATS server, or only with a cluster of three
  --keep          leaves logs and data where they are
  --json FILE     writes the result to a file
  --help

A seed gives the same loads, faults and moments again. What happens is not the same to the bit: real processes meet them in real time.

${wrap([...FAULT_KINDS.keys()])}
The last two take a cluster.
To see that the judge finds something, there is also: ${[...SABOTAGE_KINDS.keys()].join(", ")}

Exit codes: 0 nothing was found; 1 something was, and logs and data are kept; 2 the command line is wrong.
`;

/** Undefined where help is asked for. Throws UsageError. */
export function parseTortureOptions(args: readonly string[]): CommandOptions | undefined {
  const values = parseFlags(args);
  if (values.help) return undefined;
  const kinds = values.faults === undefined ? FAULT_KINDS : selectKinds(values.faults);
  return {
    seed: values.seed === undefined ? undefined : parseCount("seed", values.seed, 0, 2 ** 31 - 1),
    minutes: parseMinutes(values.minutes ?? (values.rounds === undefined ? "10" : "100000")),
    rounds: values.rounds === undefined ? Infinity : parseCount("rounds", values.rounds, 1, 1_000_000),
    kinds,
    faults: values.faults,
    natsServers: values.nats === undefined ? undefined : parseServers(values.nats, kinds),
    keepFiles: values.keep,
    jsonFile: values.json,
  };
}

function parseFlags(args: readonly string[]) {
  const flag = { type: "boolean", default: false } as const;
  const text = { type: "string" } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: text,
        rounds: text,
        seed: text,
        faults: text,
        nats: text,
        json: text,
        keep: flag,
        help: flag,
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message.split("\n")[0]);
  }
}

function parseCount(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new UsageError(`--${name}: ${JSON.stringify(text)} is not a whole number from ${min} to ${max}`);
}

function parseMinutes(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && value <= 100_000) return value;
  throw new UsageError(`--minutes: ${JSON.stringify(text)} is not a number above 0`);
}

function parseServers(text: string, kinds: ReadonlyMap<string, FaultKind>): NatsServers {
  const count = NATS_SERVERS.find((each) => String(each) === text);
  if (count === undefined)
    throw new UsageError(`--nats: ${JSON.stringify(text)} is neither of ${NATS_SERVERS.join(", ")}`);
  if (kindsFor(kinds, count).size === 0)
    throw new UsageError(`--nats: none of these faults can be done to ${count === 1 ? "one server" : text}`);
  return count;
}

function selectKinds(names: string): ReadonlyMap<string, FaultKind> {
  const all = new Map([...FAULT_KINDS, ...SABOTAGE_KINDS]);
  return new Map(
    names.split(",").map((name) => {
      const kind = all.get(name);
      if (kind === undefined)
        throw new UsageError(`--faults: ${JSON.stringify(name)} is none of ${[...all.keys()].join(", ")}`);
      return [name, kind];
    }),
  );
}

/** Lines that fit a terminal. */
function wrap(names: readonly string[]): string {
  const lines = ["Faults:"];
  for (const name of names.map((each, i) => (i < names.length - 1 ? `${each},` : each))) {
    const line = `${lines.at(-1)} ${name}`;
    if (line.length <= HELP_WIDTH) lines[lines.length - 1] = line;
    else lines.push(`  ${name}`);
  }
  return lines.join("\n");
}
