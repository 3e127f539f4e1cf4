import { expect, test } from "vitest";
import { parseBenchOptions, UsageError } from "./options.ts";

test("the defaults, and --quick, whose numbers can be overridden", () => {
  expect(parseBenchOptions([])).toMatchObject({
    scenario: "loads",
    records: 100_000,
    rounds: 3,
    json: false,
  });
  expect(parseBenchOptions(["--quick"])).toMatchObject({ records: 20_000, rounds: 1 });
  expect(parseBenchOptions(["--quick", "--rounds", "2"])).toMatchObject({ records: 20_000, rounds: 2 });
  expect(parseBenchOptions(["--scenario", "tracing"])).toMatchObject({ scenario: "tracing" });
  expect(parseBenchOptions(["--scenario", "pieces"])).toMatchObject({ scenario: "pieces", rounds: 50 });
  expect(parseBenchOptions(["--help"])).toBeUndefined();
});

test.each([
  ["--scenario", "x"],
  ["--records", "0"],
  ["--records", "1e5"],
  ["--rounds", "-1"],
  ["--rounds"],
  ["--fast"],
  ["x"],
])("refuses %s %s", (...args) => {
  expect(() => parseBenchOptions(args)).toThrow(UsageError);
});
