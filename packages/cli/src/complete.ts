import { homedir } from "node:os";
import yargs, { type FallbackCompletionFunction } from "yargs";
import type { Cli, Command } from "./command.ts";
import { COMMANDS, type CommandEntry, commandName } from "./commands.ts";
import { globalOptions } from "./global-options.ts";
import type { MeshFlags } from "./mesh/find-mesh.ts";
import { createParser } from "./parser.ts";

/** What the scripts of `chow completion` call, followed by the words on the command line. The name is that of yargs. */
export const GET_COMPLETIONS = "--get-yargs-completions";

/**
 * Prints candidates for the last of the words, which may be empty. In zsh each has its description after a colon: yargs goes
 * by SHELL.
 *
 * @param words from "chow" on
 */
export async function complete(words: readonly string[], cli: Cli): Promise<void> {
  const wantsOption = words.at(-1)?.startsWith("-") === true;
  const dynamic = await dynamicCandidates(words, cli);
  const parser = await createParser([GET_COMPLETIONS, ...words], () => {});
  const addDynamic: FallbackCompletionFunction = (_current, _args, complete, done) =>
    complete((_error, fixed: readonly string[] | undefined) => {
      const wanted = fixed?.filter((candidate) => wantsOption || !candidate.startsWith("-"));
      done([...(wanted ?? []), ...dynamic]);
    });
  parser.completion(GET_COMPLETIONS, false, addDynamic);
  await parser.parseAsync();
}

/** The mesh that the words name, as far as they make sense: they are not complete, nor is what they say. */
export function meshFlagsOf(words: readonly string[]): MeshFlags {
  // The last is being written.
  const written = words.slice(0, -1).map((word) => word.replace(/^(--[\w-]+=)?~(?=\/)/, `$1${homedir()}`));
  try {
    const parser = yargs([...written])
      .options(globalOptions)
      .parserConfiguration({ "greedy-arrays": false, "dot-notation": false })
      .help(false)
      .version(false)
      .exitProcess(false)
      .fail(false);
    return parser.parseSync();
  } catch {
    return {};
  }
}

/** What only the mesh knows, such as its services. Nothing where it can't be asked. */
async function dynamicCandidates(words: readonly string[], cli: Cli): Promise<string[]> {
  const current = words.at(-1) ?? "";
  if (current.startsWith("-")) return [];
  const found = await findCommand(words);
  if (found === undefined) return [];
  const { command, rest } = found;
  const option = words.at(-2)?.startsWith("-") ? words.at(-2) : undefined;
  const asked = option === undefined ? command.complete?.(rest, cli) : command.completeOption?.(option, cli);
  const candidates = (await asked?.catch(() => [])) ?? [];
  return [...new Set(candidates)].filter((candidate) => candidate.startsWith(current));
}

/** The command that the words name, and the words after it that are no options. */
async function findCommand(
  words: readonly string[],
): Promise<{ command: Command; rest: string[] } | undefined> {
  let entries: readonly CommandEntry[] = COMMANDS;
  for (const [index, word] of words.entries()) {
    const entry = entries.find((candidate) => commandName(candidate) === word);
    if (entry === undefined) continue;
    if ("load" in entry) {
      return { command: (await entry.load()).command, rest: withoutOptions(words.slice(index + 1)) };
    }
    entries = entry.subcommands;
  }
  return undefined;
}

/** Options that say which mesh is meant: each is followed by its value. */
const MESH_OPTIONS = new Set(["--gateway", "--key-file", "--key", "--admin", "--mesh"]);

function withoutOptions(words: readonly string[]): string[] {
  return words.filter((word, at) => !word.startsWith("-") && !MESH_OPTIONS.has(words[at - 1] ?? ""));
}
