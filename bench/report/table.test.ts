import { expect, test } from "vitest";
import { figure, formatNumber, renderTable } from "./table.ts";

test("median, least and greatest", () => {
  expect(figure([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5 });
  expect(figure([4, 1])).toEqual({ median: 2.5, min: 1, max: 4 });
});

test("a Markdown table, with the spread where there is one", () => {
  const table = {
    name: "loads",
    columns: ["fresh", "psql \\copy"],
    rows: [
      { title: "records/s", decimals: 0, cells: [figure([50_000]), figure([90_000, 100_000, 120_000])] },
      { title: "gateway, µs CPU/record", decimals: 1, cells: [figure([3.14]), null] },
    ],
  };
  expect(renderTable(table)).toBe(
    [
      "|                        |  fresh |               psql \\copy |",
      "| ---------------------- | -----: | -----------------------: |",
      "| records/s              | 50,000 | 100,000 (90,000–120,000) |",
      "| gateway, µs CPU/record |    3.1 |                          |",
    ].join("\n"),
  );
});

test("a number that rounds to nothing has no sign", () => {
  expect([-0.04, -0.06, 1234.5].map((value) => formatNumber(value, 1))).toEqual(["0.0", "-0.1", "1,234.5"]);
});
