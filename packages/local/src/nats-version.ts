/** The version in the output of `nats-server --version`, without the `v`. */
export function parseNatsVersion(output: string): string | undefined {
  return /^nats-server: v(\d+\.\d+\.\d+\S*)/m.exec(output)?.[1];
}

/** Compares `major.minor`; a preview of a version counts as that version. */
export function isAtLeast(version: string, minimum: `${number}.${number}`): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [minimumMajor = 0, minimumMinor = 0] = minimum.split(".").map(Number);
  return major > minimumMajor || (major === minimumMajor && minor >= minimumMinor);
}
