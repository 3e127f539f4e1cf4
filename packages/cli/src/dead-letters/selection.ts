import type { Argv } from "yargs";
import { UsageError } from "../cli-error.ts";
import { type Filter, type FilterArguments, filterOptions, readFilter } from "./filter.ts";

/** The dead letters that something is to be done to: by name, or all open ones that match. */
export type Selection = { ids: readonly string[] } | { filter: Filter };

/** Declares what `readSelection` reads. */
export function selectionOptions<T>(yargs: Argv<T>) {
  return filterOptions(
    yargs.positional("id", {
      type: "string",
      array: true,
      describe: "Just these, as in chow dead-letters list",
    }),
  ).option("all", {
    group: "Which dead letters:",
    type: "boolean",
    describe: "All open ones, of all tenants",
  });
}

/** @throws {UsageError} where not exactly one of ids, filter and --all is given: nothing is chosen by leaving something out */
export function readSelection(
  args: FilterArguments & { id?: string[] | undefined; all?: boolean | undefined },
): Selection {
  const ids = [...new Set(args.id)];
  const filter = readFilter(args);
  const given = [ids.length > 0, filter !== undefined, args.all === true].filter(Boolean).length;
  if (given === 0) throw new UsageError("say which dead letters: ids, a filter such as --reason, or --all");
  if (given > 1)
    throw new UsageError("name dead letters by ids, by a filter or with --all, not by two of them");
  return ids.length > 0 ? { ids } : { filter: filter ?? {} };
}
