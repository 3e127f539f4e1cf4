/** yargs loses a bare "-" among positional arguments: this goes through it in its place. */
const STAND_IN = "\u0000-";

export function hideDashes(argv: readonly string[]): string[] {
  return argv.map((word) => (word === "-" ? STAND_IN : word));
}

/** The arguments that yargs has made of words with hidden dashes. */
export function restoreDashes<T extends object>(args: T): T {
  const restore = (value: unknown): unknown =>
    Array.isArray(value) ? value.map(restore) : value === STAND_IN ? "-" : value;
  return Object.fromEntries(Object.entries(args).map(([name, value]) => [name, restore(value)])) as T;
}
