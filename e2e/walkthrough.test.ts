import { describe, expect, it } from "vitest";
import { isExpected, MARK, readShellBlocks, splitCommands } from "./walkthrough.ts";

const fence = (language: string, content: string) => `\`\`\`${language}\n${content}\n\`\`\`\n`;

describe("readShellBlocks", () => {
  it("finds what is run, with its output", () => {
    const document = `# Title\n${MARK}\n${fence("sh", "one\ntwo")}${fence("text", "1\n2")}prose\n${fence("sh", "three")}`;
    expect(readShellBlocks(document)).toEqual([
      { line: 4, commands: "one\ntwo", isRun: true, output: "1\n2" },
      { line: 13, commands: "three", isRun: false, output: undefined },
    ]);
  });

  it("refuses a mark and an output that nothing would check", () => {
    expect(() => readShellBlocks(`${MARK}\nprose\n${fence("sh", "one")}`)).toThrow("no sh block");
    expect(() => readShellBlocks(fence("sh", "one") + fence("text", "1"))).toThrow("no block that is run");
    expect(() => readShellBlocks(`${MARK}\n${fence("sh", "one")}prose\n${fence("text", "1")}`)).toThrow(
      "no block",
    );
  });
});

describe("isExpected", () => {
  it("takes no notice of ids, times and widths", () => {
    const expected = "ID  AT\n01a1fa8c-8618-7f93-a93d-d880845a00ed  2026-11-20T20:01:15.800Z in 46ms";
    expect(isExpected("ID AT\n0 1\n", expected)).toBe(false);
    const output = "ID    AT\nffffffff-8618-7f93-a93d-d880845a00ed  2027-01-02T20:01:15Z in 1.2s\n";
    expect(isExpected(output, expected)).toBe(true);
    expect(isExpected(`${output}more\n`, expected)).toBe(false);
  });

  it("lets … stand for the rest of a line, or for lines", () => {
    expect(isExpected("a 1 b\nc\nd\n", "a … b\n…\nd")).toBe(true);
    expect(isExpected("a 1\nd\n", "a … b\n…\nd")).toBe(false);
    expect(isExpected("3 (stored)\n", "4 (stored)")).toBe(false);
  });
});

describe("splitCommands", () => {
  it("splits as a shell does, near enough", () => {
    const script = `npm ci && npm start # a mesh\nnpx chow push a.csv \\\n  --column 'data_id=a b' | head > b < c; X=$(node -p 'f(1)')`;
    expect(splitCommands(script)).toEqual([
      ["npm", "ci"],
      ["npm", "start"],
      ["npx", "chow", "push", "a.csv", "--column", "data_id=a b"],
      ["head"],
      ["X=$(node -p f(1))"],
    ]);
  });
});
