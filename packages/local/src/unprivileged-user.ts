import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";

/** A user to run a process as. */
export interface User {
  uid: number;
  gid: number;
}

/**
 * The user PostgreSQL runs as when we are root, which it refuses to be: who called sudo, else the owner of this
 * code, else `nobody`. Undefined when we are not root, and nothing needs to change.
 */
export function findUnprivilegedUser(
  env: Readonly<Record<string, string | undefined>> = process.env,
): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const user = chooseUnprivilegedUser(
    readFileSync("/etc/passwd", "utf8"),
    Number(env.SUDO_UID ?? 0),
    statSync(import.meta.dirname).uid,
  );
  if (user === undefined) {
    throw new Error(
      "PostgreSQL cannot run as root, and there is no user `nobody` to run it as; start as another user",
    );
  }
  return user;
}

/** The first of the given uids that is not root's and has a line in /etc/passwd (initdb insists), else `nobody`. */
export function chooseUnprivilegedUser(passwd: string, ...uids: readonly number[]): User | undefined {
  const users = passwd.split("\n").map((line) => {
    const [name, , uid, gid] = line.split(":");
    return { name, uid: Number(uid), gid: Number(gid) };
  });
  const wanted = uids.map((uid) => users.find((user) => user.uid === uid && uid > 0));
  const user = wanted.find((found) => found !== undefined) ?? users.find(({ name }) => name === "nobody");
  return user && { uid: user.uid, gid: user.gid };
}

/** Whether the user can get into the directory; asked of the kernel, since modes are not the whole truth. */
export function canReach(user: User | undefined, directory: string): boolean {
  if (user === undefined) return true;
  return spawnSync("/bin/sh", ["-c", 'cd "$1"', "sh", directory], { ...user, cwd: "/" }).status === 0;
}
