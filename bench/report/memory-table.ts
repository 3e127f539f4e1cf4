import type { MemorySample } from "../memory-watch.ts";
import { figure, type Row, type Table } from "./table.ts";

const MIB = 2 ** 20;

/** A stretch of a run that gets rows of its own: "its title" from one time to another. */
export interface Stretch {
  title: string;
  fromMs: number;
  toMs: number;
  /** Drawn as bars, under this title. */
  chart?: string;
}

/** Resident memory in MiB by process: in each stretch the median, with the least and the greatest. */
export function memoryTable(
  samples: readonly MemorySample[],
  { name, stretches }: { name: string; stretches: readonly Stretch[] },
): Table {
  const processes = Object.keys(samples[0]!.rssBytes);
  const rows = stretches.map(({ title, fromMs, toMs, chart }): Row => {
    const within = samples.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
    const cells = processes.map((process) => {
      const values = within.flatMap(({ rssBytes }) => rssBytes[process] ?? []).map((bytes) => bytes / MIB);
      return values.length === 0 ? null : figure(values);
    });
    return { title: `${title}, MiB`, decimals: 0, cells, ...(chart !== undefined && { chart }) };
  });
  return { name, columns: processes, rows };
}

/** Four of equal length. @param chart of the last one */
export function quarters(lengthMs: number, chart: string): Stretch[] {
  return ["first", "second", "third", "last"].map((which, i) => ({
    title: `${which} quarter`,
    fromMs: (lengthMs * i) / 4,
    toMs: (lengthMs * (i + 1)) / 4,
    ...(i === 3 && { chart }),
  }));
}
