/**
 * Configuration from environment variables: declared once per service, read by a pure function that reports every
 * problem at once, documented from the same declaration.
 */

/** One setting: how it is named, what it means, how its text becomes a value. */
export interface Setting<T> {
  env: string;
  doc: string;
  /** The text used where the variable is absent or empty; undefined where it must be given. */
  fallback: string | undefined;
  /** What a valid value looks like, for messages and the table. */
  form: string;
  /** Returns the value, or undefined where the text doesn't have the form. */
  parse(text: string): T | undefined;
  /** The value never appears in messages. */
  secret?: boolean;
}

export type Settings = Record<string, Setting<unknown>>;
export type ConfigOf<S extends Settings> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

/** Every problem of a configuration, one a line. */
export class ConfigError extends Error {
  override name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`invalid configuration:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.problems = problems;
  }
}

/** Reads all settings from `env`. Throws ConfigError naming every variable that is missing or has the wrong form. */
export function readConfig<S extends Settings>(
  settings: S,
  env: Readonly<Record<string, string | undefined>>,
): ConfigOf<S> {
  const config: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [name, setting] of Object.entries(settings)) {
    const given = env[setting.env];
    const text = given === undefined || given === "" ? setting.fallback : given;
    if (text === undefined) {
      problems.push(`${setting.env} is missing: ${setting.doc} (${setting.form})`);
      continue;
    }
    const value = setting.parse(text);
    if (value === undefined) {
      const shown = setting.secret ? "its value" : JSON.stringify(text);
      problems.push(`${setting.env}: ${shown} is not ${setting.form}`);
      continue;
    }
    config[name] = value;
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return config as ConfigOf<S>;
}

interface Described {
  doc: string;
  fallback?: string;
  secret?: boolean;
}

function setting<T>(
  env: string,
  described: Described,
  form: string,
  parse: (text: string) => T | undefined,
): Setting<T> {
  return { env, fallback: undefined, ...described, form, parse };
}

export function text(env: string, described: Described): Setting<string> {
  return setting(env, described, "a text", (value) => value);
}

/** A text that matches `pattern`, which `form` puts into words. */
export function matching(env: string, pattern: RegExp, form: string, described: Described): Setting<string> {
  return setting(env, described, form, (value) => (pattern.test(value) ? value : undefined));
}

export function oneOf<const T extends string>(
  env: string,
  choices: readonly T[],
  described: Described,
): Setting<T> {
  return setting(env, described, `one of ${choices.join(", ")}`, (value) =>
    choices.find((choice) => choice === value),
  );
}

export function flag(env: string, described: Described): Setting<boolean> {
  return setting(env, described, "true or false", (value) =>
    value === "true" ? true : value === "false" ? false : undefined,
  );
}

export function integer(env: string, min: number, max: number, described: Described): Setting<number> {
  return setting(env, described, `a whole number from ${min} to ${max}`, (value) =>
    within(digits(value), min, max),
  );
}

export function port(env: string, described: Described): Setting<number> {
  return setting(env, described, "a port from 0 to 65535 (0: any free one)", (value) =>
    within(digits(value), 0, 65_535),
  );
}

/** As `port`, or "off" for none. */
export function portOrOff(env: string, described: Described): Setting<number | "off"> {
  return setting(env, described, "a port from 0 to 65535 (0: any free one), or off", (value) =>
    value === "off" ? value : within(digits(value), 0, 65_535),
  );
}

export function list(env: string, described: Described): Setting<readonly string[]> {
  return setting(env, described, "a list separated by commas", (value) =>
    value
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== ""),
  );
}

export function url(env: string, protocols: readonly string[], described: Described): Setting<string> {
  const form = `a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`;
  return setting(env, described, form, (value) =>
    // Empty is a value only where it is the fallback.
    value === "" || (URL.canParse(value) && protocols.includes(new URL(value).protocol)) ? value : undefined,
  );
}

/** URLs separated by commas; may be none where the fallback is empty. */
export function urls(
  env: string,
  protocols: readonly string[],
  described: Described,
): Setting<readonly string[]> {
  const form = `URLs separated by commas that start with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`;
  const { parse: parseList } = list(env, described);
  const { parse: parseUrl } = url(env, protocols, described);
  return setting(env, described, form, (value) => {
    const items = parseList(value) ?? [];
    const isList = value === "" || items.length > 0;
    return isList && items.every((item) => parseUrl(item) !== undefined) ? items : undefined;
  });
}

const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A share such as "0.01". */
export function ratio(env: string, described: Described): Setting<number> {
  return setting(env, described, "a number from 0 to 1", (value) =>
    within(/^\d(\.\d{1,9})?$/.test(value) ? Number(value) : Number.NaN, 0, 1),
  );
}

/** A duration such as "5ms", "30s", "2m", "6h", "30d"; the value is milliseconds. */
export function duration(env: string, minMs: number, maxMs: number, described: Described): Setting<number> {
  const max = maxMs % DURATION_UNITS.d === 0 ? `${maxMs / DURATION_UNITS.d}d` : `${maxMs}ms`;
  return setting(env, described, `a duration such as 5ms, 30s or 2m, from ${minMs}ms to ${max}`, (value) => {
    const match = /^(\d+)(ms|s|m|h|d)$/.exec(value);
    return match === null
      ? undefined
      : within(Number(match[1]) * DURATION_UNITS[match[2] as "ms"], minMs, maxMs);
  });
}

const SIZE_UNITS = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** A size such as "512KiB" or "1GiB"; the value is bytes. */
export function size(env: string, minBytes: number, maxBytes: number, described: Described): Setting<number> {
  return setting(
    env,
    described,
    `a size such as 512KiB or 1GiB, from ${minBytes}B to ${maxBytes}B`,
    (value) => {
      const match = /^(\d+)(B|KiB|MiB|GiB)$/.exec(value);
      return match === null
        ? undefined
        : within(Number(match[1]) * SIZE_UNITS[match[2] as "B"], minBytes, maxBytes);
    },
  );
}

function digits(value: string): number {
  return /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
}

function within(value: number, min: number, max: number): number | undefined {
  return value >= min && value <= max ? value : undefined;
}

/** The settings as a Markdown table: the documentation of a service's configuration. */
export function configTable(settings: Settings): string {
  const rows = Object.values(settings).map(({ env, doc, fallback, form }) => {
    const shown = fallback === undefined ? "**required**" : fallback === "" ? "empty" : `\`${fallback}\``;
    return `| \`${env}\` | ${doc} | ${form} | ${shown} |`;
  });
  return ["| variable | meaning | form | default |", "| --- | --- | --- | --- |", ...rows].join("\n");
}
