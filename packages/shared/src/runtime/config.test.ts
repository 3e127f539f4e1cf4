import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { natsSettings, processSettings, stageSettings } from "./common-settings.ts";
import {
  ConfigError,
  configTable,
  duration,
  flag,
  integer,
  list,
  oneOf,
  port,
  ratio,
  readConfig,
  type Setting,
  size,
  text,
  url,
  urls,
} from "./config.ts";

const doc = "what it is";
const read = <T>(setting: Setting<T>, value: string): T | "refused" => {
  try {
    return readConfig({ it: setting }, { [setting.env]: value }).it;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return "refused";
  }
};

describe("readConfig", () => {
  const settings = {
    host: text("HOST", { doc: "the host" }),
    retries: integer("RETRIES", 0, 10, { doc: "how often", fallback: "3" }),
    level: oneOf("LEVEL", ["low", "high"], { doc: "how much", fallback: "low" }),
    key: url("KEY_URL", ["nats:"], { doc: "where", secret: true }),
  };

  test("gives the values, and the fallback where a variable is absent or empty", () => {
    const env = { HOST: "example", KEY_URL: "nats://u:p@h", LEVEL: "", OTHER: "ignored" };
    expect(readConfig(settings, env)).toEqual({
      host: "example",
      retries: 3,
      level: "low",
      key: "nats://u:p@h",
    });
  });

  test("names every problem at once, and no secret", () => {
    const env = { RETRIES: "11", LEVEL: "Low", KEY_URL: "http://user:s3cret@host" };
    let error: unknown;
    try {
      readConfig(settings, env);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigError);
    const { problems, message } = error as ConfigError;
    expect(problems).toEqual([
      "HOST is missing: the host (a text)",
      'RETRIES: "11" is not a whole number from 0 to 10',
      'LEVEL: "Low" is not one of low, high',
      "KEY_URL: its value is not a URL that starts with nats://",
    ]);
    for (const problem of problems) expect(message).toContain(`\n  ${problem}`);
    expect(message).not.toContain("s3cret");
  });

  test("an empty variable is a missing one", () => {
    expect(() => readConfig({ host: settings.host }, { HOST: "" })).toThrow("HOST is missing");
  });

  test("every fallback of the common settings has its form", () => {
    for (const group of [processSettings, natsSettings, stageSettings])
      expect(() => readConfig(group, {})).not.toThrow();
  });

  test("the URL of NATS, which may hold a password, is never shown", () => {
    const env = { CHOWHOUND_NATS_URL: "https://u:s3cret@host" };
    expect(() => readConfig(natsSettings, env)).toThrow(/^(?!.*s3cret).*CHOWHOUND_NATS_URL/s);
  });
});

describe("forms", () => {
  test.each<[string, number | "refused"]>([
    ["5ms", 5],
    ["30s", 30_000],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["0ms", 0],
    ["3600001ms", "refused"],
    ["2h", "refused"],
    ["5", "refused"],
    ["5 s", "refused"],
    ["5S", "refused"],
    ["-5s", "refused"],
    ["1.5s", "refused"],
    ["1e3ms", "refused"],
    ["5s\n", "refused"],
    ["1m30s", "refused"],
    [`${"9".repeat(400)}s`, "refused"],
  ])("a duration: %j", (value, expected) => {
    expect(read(duration("D", 0, 3_600_000, { doc }), value)).toBe(expected);
  });

  test.each<[string, number | "refused"]>([
    ["512B", 512],
    ["1KiB", 1024],
    ["3MiB", 3 * 1024 ** 2],
    ["1GiB", 1024 ** 3],
    ["1025MiB", "refused"],
    ["511B", "refused"],
    ["1KB", "refused"],
    ["1kib", "refused"],
    ["1024", "refused"],
    ["1.5MiB", "refused"],
    ["-1KiB", "refused"],
  ])("a size: %j", (value, expected) => {
    expect(read(size("S", 512, 1024 ** 3, { doc }), value)).toBe(expected);
  });

  test.each<[string, number | "refused"]>([
    ["1", 1],
    ["007", 7],
    ["20", 20],
    ["0", "refused"],
    ["21", "refused"],
    ["0x10", "refused"],
    ["1e1", "refused"],
    ["+5", "refused"],
    ["5.0", "refused"],
    [" 5", "refused"],
    ["9999999999999999", "refused"],
  ])("a whole number: %j", (value, expected) => {
    expect(read(integer("I", 1, 20, { doc }), value)).toBe(expected);
  });

  test.each<[string, number | "refused"]>([
    ["0", 0],
    ["65535", 65_535],
    ["65536", "refused"],
    ["http", "refused"],
  ])("a port: %j", (value, expected) => {
    expect(read(port("P", { doc }), value)).toBe(expected);
  });

  test.each<[string, boolean | "refused"]>([
    ["true", true],
    ["false", false],
    ["1", "refused"],
    ["TRUE", "refused"],
    ["no", "refused"],
  ])("a flag: %j", (value, expected) => {
    expect(read(flag("F", { doc }), value)).toBe(expected);
  });

  test.each<[string, number | "refused"]>([
    ["0", 0],
    ["1", 1],
    ["0.01", 0.01],
    ["1.1", "refused"],
    ["-0.1", "refused"],
    [".5", "refused"],
    ["1e-1", "refused"],
    ["50%", "refused"],
  ])("a ratio: %j", (value, expected) => {
    expect(read(ratio("R", { doc }), value)).toBe(expected);
  });

  test.each<[string, readonly string[]]>([
    ["a", ["a"]],
    [" a , b,,c ", ["a", "b", "c"]],
    [",", []],
  ])("a list: %j", (value, expected) => {
    expect(read(list("L", { doc }), value)).toEqual(expected);
  });

  test.each([
    ["nats://127.0.0.1:4222", true],
    ["tls://u:p@host", true],
    ["http://host", false],
    ["127.0.0.1:4222", false],
    ["nats", false],
  ])("a URL: %j", (value, isValid) => {
    expect(read(url("U", ["nats:", "tls:"], { doc }), value)).toBe(isValid ? value : "refused");
  });

  test.each([
    ["http://a:8222, https://b/c", ["http://a:8222", "https://b/c"]],
    ["", []],
    [",", "refused"],
    ["http://a,b:8222", "refused"],
    ["nats://a", "refused"],
  ])("URLs: %j", (value, expected) => {
    expect(read(urls("U", ["http:", "https:"], { doc, fallback: "" }), value)).toEqual(expected);
  });

  test("a URL may be left out where its fallback is empty", () => {
    const optional = { u: url("U", ["http:"], { doc, fallback: "" }) };
    expect(readConfig(optional, {})).toEqual({ u: "" });
    expect(() => readConfig(optional, { U: "host:4318" })).toThrow("U: ");
    expect(() => readConfig({ u: url("U", ["http:"], { doc }) }, { U: "" })).toThrow("U is missing");
  });

  test("no number is ever outside its bounds, whatever the text", () => {
    const settings = [integer("N", 2, 50, { doc }), duration("N", 2, 50, { doc }), size("N", 2, 50, { doc })];
    const value = fc.oneof(
      fc.string(),
      fc
        .tuple(fc.double(), fc.constantFrom("", "ms", "s", "B", "KiB"))
        .map(([number, unit]) => `${number}${unit}`),
      fc.tuple(fc.nat(100), fc.constantFrom("", "ms", "B")).map(([number, unit]) => `${number}${unit}`),
    );
    fc.assert(
      fc.property(value, fc.constantFrom(...settings), (given, setting) => {
        fc.pre(given !== "");
        const result = read(setting, given);
        if (result === "refused") return;
        expect(Number.isInteger(result)).toBe(true);
        expect(result).toBeGreaterThanOrEqual(2);
        expect(result).toBeLessThanOrEqual(50);
      }),
    );
  });
});

describe("configTable", () => {
  test("shows every setting with its form and default", () => {
    const table = configTable({
      host: text("HOST", { doc: "the host" }),
      keys: list("KEYS", { doc: "the keys", fallback: "" }),
      wait: duration("WAIT", 1, 1000, { doc: "how long", fallback: "5ms" }),
    });
    expect(table.split("\n")).toEqual([
      "| variable | meaning | form | default |",
      "| --- | --- | --- | --- |",
      "| `HOST` | the host | a text | **required** |",
      "| `KEYS` | the keys | a list separated by commas | empty |",
      "| `WAIT` | how long | a duration such as 5ms, 30s or 2m, from 1ms to 1000ms | `5ms` |",
    ]);
  });

  test("of the common settings is a table: no meaning or form breaks a row", () => {
    for (const row of configTable({ ...processSettings, ...natsSettings, ...stageSettings }).split("\n"))
      expect(row.split("|")).toHaveLength(6);
  });
});
