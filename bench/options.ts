import { resolve } from "node:path";
import { parseArgs } from "node:util";

export interface BenchOptions {
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

export const help = `Measures a whole mesh on this machine, as it ships: durable, with validation, keys, dedup and the books. Each
round has a fresh mesh, in the temporary directory (TMPDIR), and lands
  fresh     new records
  copy      the rows of "fresh", by one \\copy of psql into a table with the same rows before and the same indexes
  resent    the same records once more
  updates   newer versions of them
Exit code 1 if the books don't close.

  npm run bench -- [flags]

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
  return {
    records: parseCount("records", values.records ?? (values.quick ? "20000" : "100000"), 5_000_000),
    rounds: parseCount("rounds", values.rounds ?? (values.quick ? "1" : "3"), 100),
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

function parseCount(flag: string, value: string, max: number): number {
  const count = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (count >= 1 && count <= max) return count;
  throw new UsageError(`--${flag}: ${JSON.stringify(value)} is not a number from 1 to ${max}`);
}
