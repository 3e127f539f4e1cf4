import { readdir } from "node:fs/promises";
import type { Scenario } from "./harness/scenario.ts";

export interface NamedScenario {
  /** The file's name without its ending: "1-kill-points". */
  name: string;
  scenario: Scenario;
}

/** All scenarios: the files beside this one whose names begin with a number, each of which exports `scenario`. */
export async function loadScenarios(): Promise<NamedScenario[]> {
  const files = (await readdir(import.meta.dirname)).filter((file) => /^\d+-[a-z0-9-]+\.ts$/.test(file));
  return Promise.all(
    files.sort(byNumber).map(async (file) => {
      const { scenario } = (await import(`./${file}`)) as { scenario: Scenario };
      return { name: file.replace(/\.ts$/, ""), scenario };
    }),
  );
}

/**
 * Those whose names begin with what is asked for, as a whole number or more: "3" finds "3-deadlock" and not "30-…". All,
 * where nothing is.
 */
export function selectScenarios(all: readonly NamedScenario[], asked: readonly string[]): NamedScenario[] {
  if (asked.length === 0) return [...all];
  return all.filter(({ name }) =>
    asked.some((prefix) => (/^\d+$/.test(prefix) ? name.startsWith(`${prefix}-`) : name.startsWith(prefix))),
  );
}

function byNumber(a: string, b: string): number {
  return Number.parseInt(a, 10) - Number.parseInt(b, 10) || a.localeCompare(b);
}
