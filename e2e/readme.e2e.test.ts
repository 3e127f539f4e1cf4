import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseCommandLine } from "@chowhound/cli/parser";
import { repositoryRoot } from "@chowhound/local/node-binary";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type MeshUnderTest, startMeshUnderTest } from "./mesh-under-test.ts";
import { isExpected, readShellBlocks, type ShellBlock, splitCommands } from "./walkthrough.ts";

const readme = await readFile(join(repositoryRoot, "README.md"), "utf8");
const blocks = readShellBlocks(readme);
const titleOf = ({ line, commands }: ShellBlock): string => `README.md:${line} ${commands.split("\n")[0]}`;

describe("the walk-through of README.md", () => {
  let mesh: MeshUnderTest;
  /** A directory that looks like this checkout while `npm start` runs in it. */
  let checkout: string;
  beforeAll(async () => {
    mesh = await startMeshUnderTest({ durable: true });
    checkout = await mkdtemp(join(tmpdir(), "chowhound-readme-"));
    for (const name of ["package.json", "node_modules", "examples", "packages", "services"])
      await symlink(join(repositoryRoot, name), join(checkout, name));
    await mkdir(join(checkout, ".chowhound"));
    await writeFile(join(checkout, ".chowhound", "endpoints.json"), JSON.stringify(mesh.endpoints));
  }, 120_000);
  afterAll(async () => {
    await mesh.remove();
    await rm(checkout, { recursive: true });
  });

  const run = (commands: string) =>
    new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
      const env = Object.fromEntries(
        Object.entries(process.env).filter(([name]) => !name.startsWith("CHOWHOUND_")),
      );
      execFile("sh", ["-ec", commands], { cwd: checkout, env }, (error, stdout, stderr) => {
        // npm may have something to say about its own settings.
        const complaints = stderr.split("\n").filter((line) => !line.startsWith("npm warn"));
        resolve({ code: error?.code ?? 0, stdout, stderr: complaints.join("\n") });
      });
    });

  const walkthrough = blocks.filter(({ isRun }) => isRun);
  it("is there", () => expect(walkthrough.length).toBeGreaterThan(5));

  it.each(walkthrough.map((block) => [titleOf(block), block] as const))("%s", async (_title, block) => {
    const { code, stdout, stderr } = await run(block.commands);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { output } = block;
    if (output !== undefined && !isExpected(stdout, output)) expect(stdout).toBe(output);
    // As somebody who reads before the next command.
    await mesh.untilDrained();
  });
});

describe("what README.md tells to type", () => {
  it.each(blocks.map((block) => [titleOf(block), block] as const))("%s", async (_title, { commands }) => {
    const { scripts } = JSON.parse(await readFile(join(repositoryRoot, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    for (const words of splitCommands(commands)) {
      const [command, ...args] = words;
      if (command === "npm") checkNpm(args, scripts);
      else if (command === "node") checkFile(args[0]);
      else if (command === "npx" && args[0] === "node") checkFile(args[1]);
      else if (command === "npx") checkFile(join("node_modules", ".bin", args[0]!));
      const chow = words.indexOf("chow");
      // It is strict about commands and options.
      if (chow >= 0 && (command === "npx" || command === "docker"))
        await parseCommandLine(words.slice(chow + 1));
    }
  });

  function checkNpm([verb, name]: readonly string[], scripts: Record<string, string>): void {
    if (verb === "ci") return;
    expect(Object.keys(scripts)).toContain(verb === "run" ? name : verb);
  }

  function checkFile(path: string | undefined): void {
    if (path === undefined || path.startsWith("-")) return;
    expect(existsSync(join(repositoryRoot, path)), `${path} is there`).toBe(true);
  }
});
