import { expect, test } from "vitest";
import { parseBenchOptions, UsageError } from "./options.ts";
import { SCENARIOS } from "./scenarios.ts";

const parse = (...args: string[]) => parseBenchOptions(args, SCENARIOS);
const namesOf = (options: ReturnType<typeof parse>) => options!.scenarios.map(({ name }) => name);

test("the defaults leave the numbers to the scenarios", () => {
  const options = parse();
  expect(options).toMatchObject({ quick: false, json: false, save: false });
  expect([options!.records, options!.rounds, options!.seconds]).toEqual([undefined, undefined, undefined]);
  expect(namesOf(options)).toEqual(SCENARIOS.filter(({ isUsual }) => isUsual).map(({ name }) => name));
  expect(parse("--help")).toBeUndefined();
});

test("--quick plays the first scenario, or those that are named", () => {
  expect(namesOf(parse("--quick"))).toEqual(["loads"]);
  expect(namesOf(parse("--quick", "--scenario", "calls"))).toEqual(["calls"]);
});

test("several scenarios are played in their own order", () => {
  expect(namesOf(parse("--scenario", "tracing,loads"))).toEqual(["loads", "tracing"]);
  expect(namesOf(parse("--scenario", "all"))).not.toContain("soak");
});

test("numbers", () => {
  expect(parse("--records", "7", "--rounds", "2", "--minutes", "3")).toMatchObject({
    records: 7,
    rounds: 2,
    seconds: 180,
  });
});

test.each([
  ["--scenario", "x"],
  ["--scenario", "loads,x"],
  ["--scenario", ""],
  ["--records", "0"],
  ["--records", "1e5"],
  ["--rounds", "-1"],
  ["--minutes", "0.5"],
  ["--rounds"],
  ["--fast"],
  ["x"],
])("refuses %s %s", (...args) => {
  expect(() => parse(...args)).toThrow(UsageError);
});
