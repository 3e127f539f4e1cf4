import type { ArgumentsCamelCase, Argv } from "yargs";
import yargs from "yargs";
import manifest from "../package.json" with { type: "json" };
import { UsageError } from "./cli-error.ts";
import type { Command } from "./command.ts";
import { COMMANDS, type CommandEntry, commandName } from "./commands.ts";
import { hideDashes, restoreDashes } from "./dash.ts";
import { EXIT_MEANINGS } from "./exit-codes.ts";
import { GENERAL, globalOptions } from "./global-options.ts";

/** What the command line asks for: a command, or to be shown a text such as help. */
export type Parsed =
  | { command: Command; args: ArgumentsCamelCase<unknown> }
  | { command?: undefined; text: string };

/** Called with the command that the command line names. */
type OnChosen = (command: Command, args: ArgumentsCamelCase<unknown>) => void;

/** Adds a command to a parser. */
type Addition = (parser: Argv) => Argv;

const HELP_WIDTH = 100;

/** @throws {UsageError} where the command line makes no sense */
export async function parseCommandLine(argv: readonly string[], columns = HELP_WIDTH): Promise<Parsed> {
  let parsed: Parsed = { text: "" };
  const parser = await createParser(argv, (command, args) => {
    parsed = { command, args };
  });
  await parser
    .wrap(Math.min(columns, HELP_WIDTH))
    .fail((message, error) => {
      throw new UsageError(`${message ?? error.message}\n  see ${helpFor(argv)}`, { cause: error });
    })
    .parseAsync(hideDashes(argv), {}, (_error, _args, output) => {
      if (output !== "") parsed = { text: `${output}\n` };
    });
  return parsed;
}

/** The parser of the whole command line. Of the commands, only those are loaded whose names are on it. */
export async function createParser(argv: readonly string[], onChosen: OnChosen): Promise<Argv> {
  const addCommands = await loadCommands(COMMANDS, argv, onChosen);
  const parser: Argv = yargs([...argv])
    .scriptName("chow")
    .usage("chow pushes records into a mesh, shows what became of them, and operates it.")
    .locale("en")
    .parserConfiguration({
      "greedy-arrays": false,
      "parse-positional-numbers": false,
      "dot-notation": false,
    })
    .options(globalOptions)
    .check((args) => refuseRepeated(parser, args))
    .help()
    .alias("help", "h")
    .version(manifest.version)
    .group(["help", "version"], GENERAL)
    .strict()
    .recommendCommands()
    .exitProcess(false)
    .demandCommand(1, "a command is missing")
    .epilogue(exitCodes());
  return addCommands(parser);
}

async function loadCommands(
  entries: readonly CommandEntry[],
  argv: readonly string[],
  onChosen: OnChosen,
  fallback?: string,
): Promise<Addition> {
  const additions = await Promise.all(
    entries.map((entry) => loadCommand(entry, argv, onChosen, commandName(entry) === fallback)),
  );
  return (parser) => additions.reduce((extended, add) => add(extended), parser);
}

async function loadCommand(
  entry: CommandEntry,
  argv: readonly string[],
  onChosen: OnChosen,
  isFallback: boolean,
): Promise<Addition> {
  const { usage, summary } = entry;
  if (!argv.includes(commandName(entry))) return (parser) => parser.command(usage, summary);
  if ("subcommands" in entry) {
    const { subcommands, fallback } = entry;
    const named = fallback === undefined ? argv : [...argv, fallback];
    const addCommands = await loadCommands(subcommands, named, onChosen, fallback);
    if (fallback !== undefined) return (parser) => parser.command(usage, summary, addCommands);
    const which = `which one? ${subcommands.map(commandName).join(", ")}`;
    return (parser) => parser.command(usage, summary, (own) => addCommands(own).demandCommand(1, 1, which));
  }
  const { command } = await entry.load();
  return (parser) =>
    parser.command(
      // "$0" is yargs' name for what applies without a name.
      isFallback ? [usage, "$0"] : usage,
      summary,
      (own) =>
        ownOptionsFirst(command.options(own)).example(command.examples.map(([line, what]) => [line, what])),
      (args) => onChosen(command, restoreDashes(args)),
    );
}

/** What yargs tells about its options: public, and missing in the types. */
interface DeclaredOptions {
  getOptions(): { key: Record<string, true>; alias: Record<string, string[]>; array: string[] };
  getGroups(): Record<string, string[]>;
}

/** Puts what only this command has above what is the same everywhere. */
function ownOptionsFirst(parser: Argv): Argv {
  const declared = parser as Argv & DeclaredOptions;
  const grouped = new Set(Object.values(declared.getGroups()).flat());
  const { key, alias } = declared.getOptions();
  const aliases = new Set(Object.values(alias).flat());
  const own = Object.keys(key).filter((name) => !grouped.has(name) && !aliases.has(name));
  return own.length === 0 ? parser : parser.group(own, "Options:");
}

/** yargs makes a list of an option that is given twice. */
function refuseRepeated(parser: Argv, args: Record<string, unknown>): true {
  const { key, array } = (parser as Argv & DeclaredOptions).getOptions();
  const repeated = Object.keys(key).find((name) => !array.includes(name) && Array.isArray(args[name]));
  if (repeated !== undefined) throw new Error(`--${repeated} is given more than once`);
  return true;
}

/** The command line that shows the help that applies. */
function helpFor(argv: readonly string[]): string {
  const names: string[] = [];
  let entries = COMMANDS;
  for (const word of argv) {
    const entry = entries.find((candidate) => commandName(candidate) === word);
    if (entry === undefined) continue;
    names.push(word);
    entries = "subcommands" in entry ? entry.subcommands : [];
  }
  return ["chow", ...names, "--help"].join(" ");
}

function exitCodes(): string {
  const lines = Object.entries(EXIT_MEANINGS).map(([code, meaning]) => `  ${code.padStart(3)}  ${meaning}`);
  return `Exit codes:\n${lines.join("\n")}`;
}
