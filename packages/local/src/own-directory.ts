import { access, constants, lstat, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/** A directory of this user below one that everybody may write to. */
function nameOfOurs(parent: string): string {
  return join(parent, `chowhound-${process.getuid?.() ?? "user"}`);
}

/**
 * Where downloads are kept between runs: `$XDG_CACHE_HOME/chowhound`, `~/.cache/chowhound`, or, for a user without
 * a home of their own, a directory in the temporary one.
 */
export async function findCacheDirectory(env: Environment = process.env): Promise<string> {
  const candidates = [env.XDG_CACHE_HOME, env.HOME && join(env.HOME, ".cache")].filter((path) => !!path);
  for (const candidate of candidates) {
    const directory = join(candidate!, "chowhound");
    try {
      await mkdir(directory, { recursive: true });
      await access(directory, constants.W_OK);
      return directory;
    } catch {
      // not ours to write to
    }
  }
  return ensureOwnDirectory(nameOfOurs(tmpdir()));
}

/** A directory that other users can reach, whatever the rights on homes: for what must run as another user. */
export async function ensureReachableDirectory(): Promise<string> {
  return ensureOwnDirectory(nameOfOurs(process.platform === "win32" ? tmpdir() : "/var/tmp"));
}

/** The name is easy to guess: it must not be one that somebody else made, or can change. */
async function ensureOwnDirectory(path: string): Promise<string> {
  await mkdir(path, { mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const found = await lstat(path);
  const isOurs =
    process.getuid === undefined || (found.uid === process.getuid() && (found.mode & 0o022) === 0);
  if (!found.isDirectory() || !isOurs) {
    throw new Error(`${path} is not a directory that only this user can write to; please remove it`);
  }
  return path;
}
