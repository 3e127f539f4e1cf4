import { execFile } from "node:child_process";
import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { Cli } from "../command.ts";
import { command } from "./completion.ts";

const run = promisify(execFile);

test("bash completes what producers wrote without running it", async () => {
  const directory = await mkdtemp(join(tmpdir(), "completion-"));
  try {
    const printed: string[] = [];
    const out = { json: false, line: async (text: string) => void printed.push(text) };
    await command.run({ shell: "bash" } as never, { out } as unknown as Cli);
    const trap = join(directory, "was-run");
    const candidates = [`$(touch ${trap})`, "it's", "*", "plain"];
    const fake = `#!/bin/sh\ncat <<'END'\n${candidates.join("\n")}\nEND\n`;
    await writeFile(join(directory, "chow"), fake, { mode: 0o755 });
    const complete = [
      `PATH="${directory}:$PATH"`,
      ...printed,
      "COMP_WORDS=(chow query '')",
      "COMP_CWORD=2",
      "_chow",
      `printf '%s\\n' "\${COMPREPLY[@]}"`,
      // As bash puts them on the command line.
      `for word in "\${COMPREPLY[@]}"; do eval "printf '%s\\n' $word"; done`,
    ].join("\n");
    const { stdout } = await run("bash", ["-c", complete], { cwd: directory });
    expect(stdout.trimEnd().split("\n").slice(candidates.length)).toEqual(candidates);
    await expect(access(trap)).rejects.toThrow();
  } finally {
    await rm(directory, { recursive: true });
  }
});
