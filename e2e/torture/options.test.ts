import { describe, expect, it } from "vitest";
import { FAULT_KINDS, SABOTAGE_KINDS } from "./fault-kinds.ts";
import { help, parseTortureOptions, UsageError } from "./options.ts";

describe("the command line of the torture", () => {
  it("plays all faults for ten minutes where nothing is said, and never sabotages", () => {
    const options = parseTortureOptions([]);
    expect(options).toMatchObject({ seed: undefined, minutes: 10, rounds: Infinity, keepFiles: false });
    expect([...options!.kinds.keys()]).toEqual([...FAULT_KINDS.keys()]);
  });

  it("takes a seed, a length and kinds of faults", () => {
    const args = [
      "--seed",
      "7",
      "--minutes",
      "0.5",
      "--rounds",
      "3",
      "--faults",
      "kill,delete-a-row",
      "--nats",
      "3",
      "--keep",
    ];
    const options = parseTortureOptions(args);
    expect(options).toMatchObject({ seed: 7, minutes: 0.5, rounds: 3, natsServers: 3, keepFiles: true });
    expect([...options!.kinds.keys()]).toEqual(["kill", "delete-a-row"]);
  });

  it("refuses to do to one server what takes a cluster", () => {
    expect(() => parseTortureOptions(["--faults", "kill-leader", "--nats", "1"])).toThrow(UsageError);
    expect(parseTortureOptions(["--faults", "kill-leader"])!.natsServers).toBeUndefined();
  });

  it("goes on for as many rounds as it is told to", () => {
    expect(parseTortureOptions(["--rounds", "500"])!.minutes).toBeGreaterThan(10_000);
  });

  it.each([
    ["--minutes", "0"],
    ["--minutes", "soon"],
    ["--rounds", "0"],
    ["--seed", "-1"],
    ["--seed", "1.5"],
    ["--faults", "kill,love"],
    ["--nats", "2"],
    ["--fault", "kill"],
  ])("refuses %s %s", (...args) => {
    expect(() => parseTortureOptions(args)).toThrow(UsageError);
  });

  it("explains each kind of fault by its name", () => {
    expect(parseTortureOptions(["--help"])).toBeUndefined();
    for (const kind of [...FAULT_KINDS.keys(), ...SABOTAGE_KINDS.keys()]) expect(help).toContain(kind);
  });
});
