import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repositoryRoot } from "@chowhound/local/node-binary";

/** Whether this checkout has the history back to a commit; a shallow clone doesn't. */
export function hasCommit(commit: string): boolean {
  try {
    git("cat-file", "-e", `${commit}^{commit}`);
    return true;
  } catch {
    return false;
  }
}

/** A copy of the software as it was at a commit, with today's packages. Gone when this process ends. */
export function oldSoftware(commit: string): string {
  const directory = mkdtempSync(join(tmpdir(), "chowhound-old-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const archive = join(directory, "archive.tar");
  git("archive", `--output=${archive}`, commit, "services", "packages", "package.json");
  execFileSync("tar", ["-xf", archive, "-C", directory]);
  const modules = join(directory, "node_modules");
  mkdirSync(join(modules, "@chowhound"), { recursive: true });
  for (const name of readdirSync(join(repositoryRoot, "node_modules")))
    if (name !== "@chowhound") symlinkSync(join(repositoryRoot, "node_modules", name), join(modules, name));
  for (const folder of ["services", "packages"])
    for (const name of readdirSync(join(directory, folder)))
      symlinkSync(join(directory, folder, name), join(modules, "@chowhound", name));
  return directory;
}

function git(...args: string[]): void {
  execFileSync("git", args, { cwd: repositoryRoot, stdio: "ignore" });
}
