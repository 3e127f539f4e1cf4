import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "./run-command.ts";

/** The version fetched when this machine has none. */
export const natsReleaseVersion = "2.14.5";

const sha256OfPlatform: Record<string, string> = {
  "linux-amd64": "5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355",
  "linux-arm64": "673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c",
};

/** An archive of the official release, with the checksum it must have. */
export interface NatsRelease {
  url: string;
  sha256: string;
  /** The path of the binary in the archive. */
  entry: string;
}

/** The pinned release for a platform and architecture as Node names them. */
export function natsRelease(platform: string, arch: string): NatsRelease {
  const name = `${platform}-${arch === "x64" ? "amd64" : arch}`;
  const sha256 = sha256OfPlatform[name];
  if (sha256 === undefined) throw new Error(`no pinned checksum for ${name}`);
  const directory = `nats-server-v${natsReleaseVersion}-${name}`;
  return {
    url: `https://github.com/nats-io/nats-server/releases/download/v${natsReleaseVersion}/${directory}.tar.gz`,
    sha256,
    entry: `${directory}/nats-server`,
  };
}

// A machine without a network should find out at once; a slow one may take its time for the download itself.
const defaultAnswerTimeoutMs = 5_000;
const downloadTimeoutMs = 120_000;

/** Downloads, verifies and unpacks a release into an empty directory; returns the path of the binary. */
export async function unpackNatsRelease(
  release: NatsRelease,
  directory: string,
  options: { answerTimeoutMs?: number; signal?: AbortSignal } = {},
): Promise<string> {
  const archive = await download(
    release.url,
    options.answerTimeoutMs ?? defaultAnswerTimeoutMs,
    options.signal,
  );
  const sha256 = createHash("sha256").update(archive).digest("hex");
  if (sha256 !== release.sha256) {
    throw new Error(`${release.url} has the checksum ${sha256}, expected ${release.sha256}`);
  }
  await writeFile(join(directory, "release.tar.gz"), archive);
  await runCommand("tar", ["-xzf", "release.tar.gz", release.entry], { cwd: directory });
  return join(directory, release.entry);
}

async function download(
  url: string,
  answerTimeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const timeout = new AbortController();
  const abort = () => timeout.abort(new Error(`no answer from ${new URL(url).host} in time`));
  let timer = setTimeout(abort, answerTimeoutMs);
  try {
    const response = await fetch(url, {
      signal: AbortSignal.any([timeout.signal, ...(signal ? [signal] : [])]),
    });
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    clearTimeout(timer);
    timer = setTimeout(abort, downloadTimeoutMs);
    return Buffer.from(await response.arrayBuffer());
  } catch (error) {
    const { message, cause } = error as Error;
    throw new Error(cause instanceof Error ? `${message}: ${cause.message}` : message, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
