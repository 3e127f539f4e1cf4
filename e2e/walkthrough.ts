/** A fenced block of shell commands, in a Markdown document. */
export interface ShellBlock {
  /** Of its first command. */
  line: number;
  commands: string;
  /** It has the mark: it is run. */
  isRun: boolean;
  /** What its commands print, as the document shows it right below them; undefined where it doesn't. */
  output: string | undefined;
}

export const MARK = "<!-- walkthrough -->";

const FENCE = /^```(\w*)$/;

/**
 * The `sh` blocks of a document, in their order.
 *
 * @throws {Error} where a mark stands before no block, or a `text` block below no marked one: nothing would check them
 */
export function readShellBlocks(markdown: string): ShellBlock[] {
  const lines = markdown.split("\n");
  const blocks: ShellBlock[] = [];
  /** The last thing that was no blank line. */
  let before: "mark" | ShellBlock | undefined;
  for (let index = 0; index < lines.length; index++) {
    const text = lines[index]!;
    if (text.trim() === "") continue;
    const language = FENCE.exec(text)?.[1];
    if (before === "mark" && language !== "sh")
      throw new Error(`line ${index}: the mark stands before no sh block`);
    if (language === undefined) {
      before = text === MARK ? "mark" : undefined;
      continue;
    }
    const end = lines.indexOf("```", index + 1);
    const content = lines.slice(index + 1, end).join("\n");
    if (language === "sh") {
      const block = { line: index + 2, commands: content, isRun: before === "mark", output: undefined };
      blocks.push(block);
      before = block;
    } else {
      if (language === "text") {
        if (typeof before !== "object" || !before.isRun)
          throw new Error(`line ${index + 1}: the text block stands below no block that is run`);
        before.output = content;
      }
      before = undefined;
    }
    index = end;
  }
  return blocks;
}

/** What differs from run to run, and what takes its place. */
const VARIABLE: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "<uuid>"],
  [/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, "<time>"],
  // Versions of pipelines, epochs.
  [/\b\d{13,}\b/g, "<version>"],
  [/\b[\d.]+(?:ms|s)\b/g, "<duration>"],
  [/\b[\d,.]+ records\/s/g, "<rate>"],
  // Columns are as wide as what is in them.
  [/ +/g, " "],
];

/** An output without what differs from run to run. */
export function normalize(output: string): string {
  const lines = output.split("\n").map((line) => {
    const replaced = VARIABLE.reduce((text, [pattern, name]) => text.replace(pattern, name), line);
    return replaced.trim();
  });
  return lines.join("\n").trim();
}

/** Whether an output is the expected one, in which `…` stands for anything on its line, and alone on a line for any lines. */
export function isExpected(output: string, expected: string): boolean {
  const lines = normalize(expected).split("\n");
  const pattern = lines.map((line) =>
    line === "…" ? "(?:.*\n)*" : `${line.split("…").map(escapePattern).join(".*")}\n`,
  );
  return new RegExp(`^${pattern.join("")}$`).test(`${normalize(output)}\n`);
}

function escapePattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** The words of each command of a shell script, without what the shell makes of them. Enough for documentation. */
export function splitCommands(script: string): string[][] {
  const commands: string[][] = [[]];
  const tokens =
    /\\\n|#[^\n]*|[<>]+\s*[^\s|;&]+|(?<end>\n|&&|\|\||[|;&()])|(?<word>(?:'[^']*'|"(?:\\.|[^"\\])*"|\$\((?:'[^']*'|[^)])*\)|\\[^\n]|[^\s'"|;&()<>\\])+)|\s/g;
  for (const { groups } of script.matchAll(tokens)) {
    if (groups?.end !== undefined) commands.push([]);
    if (groups?.word !== undefined)
      commands.at(-1)!.push(groups.word.replace(/'([^']*)'|"((?:\\.|[^"\\])*)"/g, "$1$2"));
  }
  return commands.filter((words) => words.length > 0);
}
