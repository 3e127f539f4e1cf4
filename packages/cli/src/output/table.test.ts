import { expect, test } from "vitest";
import { formatTable } from "./table.ts";

const plain = (_style: unknown, text: string) => text;
const marked = (style: unknown, text: string) => `<${style}>${text}</${style}>`;

test("cells stand under their titles, numbers on the right, without trailing blanks", () => {
  const columns = [{ title: "NAME" }, { title: "COUNT", align: "right" }, { title: "NOTE" }] as const;
  expect(
    formatTable(
      columns,
      [
        ["gateway", "5", ""],
        ["x", "1,234,567", "slow"],
      ],
      plain,
    ),
  ).toEqual(["NAME         COUNT  NOTE", "gateway          5", "x        1,234,567  slow"]);
});

test("a column without any text is left out, and a table without rows is its titles", () => {
  const columns = [{ title: "A" }, { title: "B" }, { title: "C" }];
  expect(formatTable(columns, [["1", "", "3"]], plain)).toEqual(["A  C", "1  3"]);
  expect(formatTable(columns, [], plain)).toEqual(["A  B  C"]);
});

test("styles don't count as width", () => {
  const rows = [
    [{ text: "paused", style: "yellow" as const }, "1"],
    ["running", "2"],
  ];
  expect(formatTable([{ title: "STATE" }, { title: "N" }], rows, marked)).toEqual([
    "STATE    N",
    "<yellow>paused</yellow>   1",
    "running  2",
  ]);
});

test("a cell can't write to the terminal beside it", () => {
  const [, row] = formatTable([{ title: "A" }], [["one\ntwo\u001b[31m\u202e"]], plain);
  expect(row).toBe("one two\ufffd[31m\ufffd");
});
