import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ensureReachableDirectory } from "./own-directory.ts";
import { canReach, type User } from "./unprivileged-user.ts";

const noteName = "moved-to.txt";

/**
 * The directory that really holds the database: `dataDir`; or, if `user` cannot get there (it is below root's
 * home, say), one elsewhere, which a note in `dataDir` names.
 */
export async function ensurePostgresHome(dataDir: string, user: User | undefined): Promise<string> {
  await mkdir(dataDir, { recursive: true });
  const moved = await readNote(dataDir);
  if (moved !== undefined) {
    await stat(moved).catch((cause) => {
      throw new Error(
        `the data of ${dataDir} was in ${moved}, which is gone; remove ${dataDir} to begin anew`,
        {
          cause,
        },
      );
    });
    return moved;
  }
  // Passing through is enough, the database's own directory belongs to `user`. What is in use we leave as it is.
  if (user && (await readdir(dataDir)).length === 0) await chmod(dataDir, 0o711);
  if (canReach(user, dataDir)) return dataDir;

  // Never the same name twice: if a dataDir is removed, what comes after it must not find the old data.
  const home = await mkdtemp(join(await ensureReachableDirectory(), "data-"));
  await chmod(home, 0o711);
  await writeFile(join(dataDir, noteName), `${home}\n`);
  return home;
}

/** Removes a data directory of `startPostgres`, wherever it is. The server must be stopped. */
export async function removePostgresData(dataDir: string): Promise<void> {
  const moved = await readNote(resolve(dataDir));
  // A server that was killed leaves processes that may still write for a moment.
  const options = { recursive: true, force: true, maxRetries: 10, retryDelay: 100 };
  if (moved !== undefined) await rm(moved, options);
  await rm(dataDir, options);
}

async function readNote(dataDir: string): Promise<string | undefined> {
  try {
    return (await readFile(join(dataDir, noteName), "utf8")).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
