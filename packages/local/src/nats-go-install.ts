import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import { natsReleaseVersion } from "./nats-release.ts";
import { findOnPath, runCommand } from "./run-command.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Builds the pinned version with the Go toolchain of this machine; returns the path of the binary. */
export async function goInstallNats(
  directory: string,
  env: Environment,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  const go = await findOnPath("go", env.PATH);
  if (go === undefined) throw new Error("there is no go on PATH");
  log(`building nats-server ${natsReleaseVersion} with go install, which takes a minute or two`);
  await runCommand(go, ["install", `github.com/nats-io/nats-server/v2@v${natsReleaseVersion}`], {
    cwd: directory,
    env: { CGO_ENABLED: "0", ...env, ...(await goDirectories(directory, env)), GOBIN: directory },
    timeout: 10 * 60_000,
    ...(signal && { signal }),
  });
  return join(directory, process.platform === "win32" ? "nats-server.exe" : "nats-server");
}

/** Go keeps its modules and cache in the home; without a usable one, they go with the temporary directory. */
async function goDirectories(directory: string, env: Environment): Promise<Environment> {
  const hasHome = env.HOME ? await isWritable(env.HOME) : process.platform === "win32";
  if (hasHome) return {};
  return {
    GOPATH: env.GOPATH ?? join(directory, "go"),
    GOCACHE: env.GOCACHE ?? join(directory, "go-build"),
    // Modules are read-only by default, and then the temporary directory couldn't be removed.
    GOFLAGS: `${env.GOFLAGS ?? ""} -modcacherw`.trim(),
  };
}

async function isWritable(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
}
