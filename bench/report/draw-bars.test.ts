import { expect, test } from "vitest";
import { drawBars } from "./draw-bars.ts";

test("the greatest value fills the room, the others their part of it", () => {
  const svg = drawBars("Speed", [
    { label: "mesh", value: 50, text: "50" },
    { label: "limit", value: 100, text: "100" },
  ]);
  expect([...svg.matchAll(/width='([\d.]+)' height='20'/g)].map(([, width]) => width)).toEqual([
    "160.0",
    "320.0",
  ]);
});

test("labels can hold what SVG has a use for, and nothing need be greater than zero", () => {
  const svg = drawBars("a < b & c", [{ label: "<none>", value: 0, text: "0" }]);
  expect(svg).toContain("<title>a &lt; b &amp; c</title>");
  expect(svg).not.toMatch(/NaN|Infinity|<none/);
});
