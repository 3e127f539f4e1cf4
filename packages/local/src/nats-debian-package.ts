import { access, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "./run-command.ts";

const binaries = ["usr/sbin/nats-server", "usr/bin/nats-server"];

/**
 * Downloads and unpacks the package `nats-server` of Debian or Ubuntu, without root and without touching what
 * is installed: apt works on package lists of its own below `directory`. Returns the path of the binary.
 */
export async function unpackDebianNats(directory: string, signal?: AbortSignal): Promise<string> {
  await mkdir(join(directory, "state", "lists", "partial"), { recursive: true });
  await mkdir(join(directory, "cache", "archives", "partial"), { recursive: true });
  const settings = {
    "Dir::State": join(directory, "state"),
    "Dir::State::status": "/var/lib/dpkg/status",
    "Dir::Cache": join(directory, "cache"),
    "Acquire::Languages": "none",
    "Acquire::http::Timeout": "10",
    "Acquire::https::Timeout": "10",
    "Acquire::Retries": "1",
    // As root, apt would drop to a user that cannot write here.
    ...(process.getuid?.() === 0 && { "APT::Sandbox::User": "root" }),
  };
  const apt = (...args: string[]) =>
    runCommand(
      "apt-get",
      [...Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]), ...args],
      {
        cwd: directory,
        timeout: 120_000,
        ...(signal && { signal }),
      },
    );

  // Some other source of the machine may be out of reach; whether the package can be had shows next.
  const updateError = await apt("-q", "update").then(
    () => undefined,
    (error: Error) => error,
  );
  await apt("-q", "download", "nats-server").catch((error: Error) => {
    throw updateError ?? error;
  });
  const archive = (await readdir(directory)).find((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error("apt-get downloaded no package");
  await runCommand("dpkg-deb", ["-x", archive, "package"], { cwd: directory });
  for (const name of binaries) {
    const path = join(directory, "package", name);
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  throw new Error(`there is no nats-server in ${archive}`);
}
