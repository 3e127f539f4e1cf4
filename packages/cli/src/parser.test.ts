import { expect, test } from "vitest";
import { UsageError } from "./cli-error.ts";
import { COMMANDS, type CommandEntry, commandName } from "./commands.ts";
import { parseCommandLine } from "./parser.ts";

/** Every command line that names a command or a group, without arguments. */
function commandLines(entries: readonly CommandEntry[], parents: string[] = []): string[][] {
  return entries.flatMap((entry) => {
    const names = [...parents, commandName(entry)];
    return "subcommands" in entry ? [names, ...commandLines(entry.subcommands, names)] : [names];
  });
}

test.each(commandLines(COMMANDS).map((names) => [names.join(" "), names]))(
  "chow %s --help shows usage and, for a command, examples of just this command",
  async (name, names) => {
    const parsed = await parseCommandLine([...names, "--help"]);
    if (parsed.command !== undefined) throw new Error("help is a text");
    expect(parsed.text).toContain(`chow ${name}`);
    const options = parsed.text.split("\n").filter((line) => /^ +(-\w, )?--/.test(line));
    expect(options).toEqual([...new Set(options)]);
    const group = COMMANDS.find((entry) => commandName(entry) === names[0]);
    const isGroup = group !== undefined && "subcommands" in group;
    if (isGroup && names.length === 1) return;
    const isFallback = isGroup && group.fallback === names[1];
    const examples = parsed.text.split("Examples:\n")[1];
    expect(examples).toContain(isFallback ? names[0] : name);
  },
);

test("arguments stay texts, and options before and after the command are the same", async () => {
  for (const argv of [
    ["get", "007", "1e3", "0x10", "--key", "k"],
    ["--key", "k", "get", "007", "1e3", "0x10"],
  ]) {
    const { args } = (await parseCommandLine(argv)) as { args: Record<string, unknown> };
    expect(args).toMatchObject({ sourceType: "007", sourceId: "1e3", dataId: "0x10", key: "k" });
  }
});

test("--admin may be repeated and takes one word at a time", async () => {
  const parsed = await parseCommandLine(["--admin", "a=b:1", "--admin", "c=d:2", "status", "store"]);
  expect((parsed as { args: object }).args).toMatchObject({ admin: ["a=b:1", "c=d:2"], service: ["store"] });
});

test("a group may have a command that applies where none is named", async () => {
  const { command: named } = await parseCommandLine(["dead-letters", "summary"]);
  const { command, args } = (await parseCommandLine(["dead-letters", "--reason", "list"])) as {
    command: unknown;
    args: object;
  };
  expect(command).toBe(named);
  expect(args).toMatchObject({ reason: "list", state: "open" });
});

test("a file can be standard input", async () => {
  const parsed = await parseCommandLine(["pipelines", "apply", "-", "--dry-run"]);
  expect((parsed as { args: object }).args).toMatchObject({ file: "-", dryRun: true });
});

test.each([
  [[], "a command is missing", "chow --help"],
  [["statu"], "Did you mean status?", "chow --help"],
  [["status", "--nope"], "Unknown argument: nope", "chow status --help"],
  [["pipelines"], "which one? list, get, apply, test", "chow pipelines --help"],
  [["dead-letters", "lst"], "Unknown argument: lst", "chow dead-letters --help"],
  [["log-level", "store", "loud"], "Invalid values", "chow log-level --help"],
  [["query", "--since", "1d", "--since", "2d"], "--since is given more than once", "chow query --help"],
  [["query", "--source-id", "x"], "source-type", "chow query --help"],
  [["query", "--all", "--limit", "3"], "mutually exclusive", "chow query --help"],
  [["status", "--gateway"], "Not enough arguments following: gateway", "chow status --help"],
])("%j is a mistake that is named, with the help that applies", async (argv, message, help) => {
  const failure = parseCommandLine(argv);
  await expect(failure).rejects.toBeInstanceOf(UsageError);
  await expect(failure).rejects.toThrow(message);
  await expect(failure).rejects.toThrow(`see ${help}`);
});
