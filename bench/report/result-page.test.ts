import { expect, test } from "vitest";
import type { Result } from "./result-file.ts";
import { renderResult } from "./result-page.ts";
import { figure } from "./table.ts";

const result: Result = {
  command: "npm run bench -- --scenario calls --save",
  measuredOn: "2026-11-30",
  quick: true,
  machine: {
    cpu: "2 × CPU",
    memoryGiB: 24,
    system: "linux 6",
    fileSystem: "ext4",
    node: "v24.1.0",
    natsServer: "2.14.5",
    postgres: "18.4",
    copyTool: "psql 18",
    loadAverage: 0.25,
    measuresCpu: true,
  },
  tables: [
    {
      name: "calls",
      columns: ["batched", "single", "left out"],
      rows: [
        { title: "records/s", decimals: 0, cells: [figure([1000]), figure([20]), null], chart: "Speed" },
        { title: "ratio", decimals: 2, cells: [figure([1]), figure([0.02]), null] },
      ],
    },
  ],
  rounds: [],
};

test("the run, its table, and a chart of the rows that want one", () => {
  const { markdown, images } = renderResult("calls", result);
  expect(markdown).toMatch(/^`npm run bench -- --scenario calls --save`, 2026-11-30: 2 × CPU, .*A small run/);
  expect(markdown).toContain("| records/s | ");
  expect(markdown).toContain("![Speed](images/bench-calls-calls-1.svg)");
  expect([...images.keys()]).toEqual(["bench-calls-calls-1.svg"]);
  const [svg] = images.values();
  expect(svg).toContain(">1,000</text>");
  expect(svg).not.toContain("left out");
});

test("what was never measured says how it is", () => {
  const { markdown, images } = renderResult("soak", undefined);
  expect(markdown).toContain("npm run bench -- --scenario soak --save");
  expect(images.size).toBe(0);
});
