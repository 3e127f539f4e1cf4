/**
 * Writes the help texts of chow into docs/cli.md. With --check: changes nothing, exits 1 where one is out of date. Throws where
 * a command is not in the document at all.
 */
import { COMMANDS, type CommandEntry, commandName } from "@chowhound/cli/commands";
import { EXIT_MEANINGS } from "@chowhound/cli/exit-codes";
import { parseCommandLine } from "@chowhound/cli/parser";
import { writeSection } from "./generated-section.ts";

const FILE = "docs/cli.md";

/** The same for every command: told once in the document. */
const COMMON = /^(Which mesh|General:)/;

async function helpOf(words: readonly string[]): Promise<string> {
  const parsed = await parseCommandLine([...words, "--help"]);
  if (parsed.command !== undefined) throw new Error(`chow ${words.join(" ")} --help is no text`);
  return parsed.text.trimEnd();
}

async function writeCommand(entry: CommandEntry, parents: readonly string[]): Promise<void> {
  const words = [...parents, commandName(entry)];
  if ("subcommands" in entry) {
    for (const subcommand of entry.subcommands) await writeCommand(subcommand, words);
    return;
  }
  const help = (await helpOf(words)).split("\n\n").filter((paragraph) => !COMMON.test(paragraph));
  writeSection(FILE, `chow ${words.join(" ")}`, `\`\`\`text\n${help.join("\n\n")}\n\`\`\``);
}

writeSection(FILE, "chow --help", `\`\`\`text\n${(await helpOf([])).split("\n\nExit codes:")[0]}\n\`\`\``);
const codes = Object.entries(EXIT_MEANINGS).map(([code, meaning]) => `| ${code} | ${meaning} |`);
writeSection(FILE, "exit codes", ["| code | |", "| --- | --- |", ...codes].join("\n"));
for (const entry of COMMANDS) await writeCommand(entry, []);
