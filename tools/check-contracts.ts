/**
 * Checks proto/: format, lint, no breaking change against the last commit of main, generated code up to date. Prints
 * what is wrong and the command that mends it; exits 1 where anything is.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const GENERATED = "packages/shared/src/contracts/gen";
let failed = false;

function run(what: string, remedy: string, command: string, args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status === 0) {
    console.log(`ok      ${what}`);
    return;
  }
  failed = true;
  console.log(`FAILED  ${what}: ${remedy}\n${stdout}${stderr}`);
}

run("buf format", "run `npx buf format -w`", "buf", ["format", "--diff", "--exit-code"]);
run("buf lint", "mend what it names", "buf", ["lint"]);
const baseline = mainBranch();
if (baseline === undefined) console.log("skipped buf breaking: there is no branch main to compare with");
else
  run(`buf breaking against ${baseline}`, "keep the wire and the generated names compatible", "buf", [
    "breaking",
    "--against",
    `.git#ref=${baseline}`,
  ]);

const fresh = mkdtempSync(join(tmpdir(), "chowhound-generated-"));
try {
  execFileSync("buf", ["generate", "-o", fresh], { stdio: "inherit" });
  run("generated code", "run `npm run generate` and commit", "diff", [
    "-r",
    join(fresh, GENERATED),
    GENERATED,
  ]);
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;

/** The last commit of main that has contracts: the local branch, else the remote's. */
function mainBranch(): string | undefined {
  for (const ref of ["refs/heads/main", "refs/remotes/origin/main"]) {
    const hasContracts = spawnSync("git", ["cat-file", "-e", `${ref}:buf.yaml`]);
    if (hasContracts.status === 0)
      return execFileSync("git", ["rev-parse", ref], { encoding: "utf8" }).trim();
  }
  return undefined;
}
