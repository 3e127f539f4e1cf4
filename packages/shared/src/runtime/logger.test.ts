import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createLogger, LOG_LEVELS } from "./logger.ts";

let written: string;

beforeEach(() => {
  written = "";
  vi.spyOn(process.stderr, "write").mockImplementation((chunk) => {
    written += chunk;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

const lines = (): Record<string, unknown>[] =>
  written
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

describe("a line", () => {
  test("is JSON with level, time, service and message", () => {
    createLogger("store", "info").warn({ batch: 7 }, "a line\nwith a break");
    expect(lines()).toEqual([
      {
        level: "warn",
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        service: "store",
        pid: process.pid,
        batch: 7,
        message: "a line\nwith a break",
      },
    ]);
  });

  test("tells of an error what it is, where, and why", () => {
    createLogger("store", "info").error({ err: new Error("outer", { cause: new Error("inner") }) }, "failed");
    expect(lines()[0]).toMatchObject({ err: { message: expect.stringContaining("outer") } });
    expect(written).toContain("inner");
    expect(written).toContain("logger.test.ts");
  });
});

describe("levels", () => {
  test.each(LOG_LEVELS)("%s lets through what is as grave or graver", (level) => {
    const log = createLogger("store", level);
    for (const each of LOG_LEVELS) log[each](each);
    expect(lines().map(({ message }) => message)).toEqual(LOG_LEVELS.slice(0, LOG_LEVELS.indexOf(level) + 1));
  });

  test("change at once", () => {
    const log = createLogger("store", "error");
    log.info("before");
    log.level = "debug";
    log.debug("after");
    expect(lines().map(({ message }) => message)).toEqual(["after"]);
  });
});

describe("secrets", () => {
  const secret = "s3cret-value";

  test.each<[string, Record<string, unknown>]>([
    ["a header", { authorization: `Bearer ${secret}` }],
    ["a header among others", { headers: { authorization: `Bearer ${secret}` } }],
    ["a password", { password: secret }],
    ["a password in options", { options: { password: secret } }],
    ["a URL", { url: `postgres://user:${secret}@host/db` }],
    ["a URL with a token", { servers: [`nats://${secret}@host`] }],
    ["a URL in a message", { err: new Error(`cannot connect to "nats://user:${secret}@host:4222"`) }],
  ])("stay out: %s", (_, fields) => {
    createLogger("store", "info").info(fields, "connected");
    expect(written).not.toContain(secret);
    expect(lines()).toHaveLength(1);
    expect(written).toContain("[redacted]");
  });

  test("stay out: what a library hangs on its errors", () => {
    const cause = Object.assign(new Error("inner"), { where: `COPY line 3: ${secret}` });
    const err = Object.assign(new Error("outer", { cause }), {
      code: "23505",
      detail: `Key (${secret}) exists`,
    });
    createLogger("store", "info").error({ err }, "failed");
    expect(written).not.toContain(secret);
    expect(lines()[0]).toMatchObject({
      err: { message: "outer", code: "23505", cause: { message: "inner" } },
    });
  });

  test("what is no secret stays", () => {
    const fields = { url: "https://example.org/a@b", to: "someone@example.org", at: "http://[::1]:80/@x" };
    createLogger("store", "info").info(fields, "hello");
    expect(lines()[0]).toMatchObject(fields);
  });
});
