import { expect, test } from "vitest";
import { isAtLeast, parseNatsVersion } from "./nats-version.ts";

test.each([
  ["nats-server: v2.14.5\n", "2.14.5"],
  ["nats-server: v2.12.0-RC.1", "2.12.0-RC.1"],
  ["nats-server: v2.9.10", "2.9.10"],
  ["nats-streaming-server version 0.25.6", undefined],
  ["", undefined],
])("reads the version in %j", (output, version) => {
  expect(parseNatsVersion(output)).toBe(version);
});

test.each([
  ["2.11.0", true],
  ["2.11.0-RC.1", true],
  ["2.14.5", true],
  ["3.0.0", true],
  ["2.9.10", false],
  ["2.10.29", false],
  ["1.99.0", false],
])("compares numbers, not text: is %s at least 2.11? %s", (version, expected) => {
  expect(isAtLeast(version, "2.11")).toBe(expected);
});
