import { drawBars } from "./draw-bars.ts";
import type { Result } from "./result-file.ts";
import { formatNumber, renderTable, type Table } from "./table.ts";

/** A scenario's part of the documentation, and the pictures in it by file name. */
export interface ResultPage {
  markdown: string;
  images: ReadonlyMap<string, string>;
}

/** @param result undefined: it was never measured */
export function renderResult(scenario: string, result: Result | undefined): ResultPage {
  const images = new Map<string, string>();
  if (result === undefined)
    return { markdown: `Not measured yet: \`npm run bench -- --scenario ${scenario} --save\`.`, images };
  const parts = [describeRun(result)];
  for (const table of result.tables) {
    if (result.tables.length > 1) parts.push(`**${table.name}**`);
    parts.push(renderTable(table));
    for (const [title, svg] of chartsOf(table)) {
      const file = `bench-${scenario}-${table.name}-${images.size + 1}.svg`;
      images.set(file, svg);
      parts.push(`![${title}](images/${file})`);
    }
  }
  return { markdown: parts.join("\n\n"), images };
}

function describeRun({ command, measuredOn, machine, quick }: Result): string {
  const { cpu, memoryGiB, system, fileSystem, node, natsServer, postgres, copyTool, loadAverage } = machine;
  const size = quick ? " **A small run, which shows that it works and not how fast.**" : "";
  return (
    `\`${command}\`, ${measuredOn}: ${cpu}, ${memoryGiB} GiB, ${system}, ${fileSystem}; Node ${node.replace(/^v/, "")}, ` +
    `nats-server ${natsServer}, PostgreSQL ${postgres}; ${copyTool}; load average before: ${loadAverage.toFixed(2)}.${size}`
  );
}

function* chartsOf({ columns, rows }: Table): Generator<[title: string, svg: string]> {
  for (const { chart, cells, decimals } of rows) {
    if (chart === undefined) continue;
    const bars = cells.flatMap((cell, i) =>
      cell === null
        ? []
        : { label: columns[i]!, value: cell.median, text: formatNumber(cell.median, decimals) },
    );
    yield [chart, drawBars(chart, bars)];
  }
}
