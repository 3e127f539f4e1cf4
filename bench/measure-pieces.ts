import type { Piece } from "./pieces/piece.ts";
import { figure, type Table } from "./report/table.ts";

/** Until the compiler has seen what is hot. */
const WARM_UP_RUNS = 5;

/** Microseconds of CPU by piece: taken in turns, so that what else the machine does falls on all of them. */
export async function measurePieces(
  name: string,
  pieces: readonly Piece[],
  runs: number,
  signal: AbortSignal,
): Promise<Table> {
  const costsUs = new Map<string, number[]>(pieces.map(({ name }) => [name, []]));
  for (let i = -WARM_UP_RUNS; i < runs; i++) {
    for (const { name, run } of pieces) {
      signal.throwIfAborted();
      const before = process.cpuUsage();
      const count = await run();
      const { user, system } = process.cpuUsage(before);
      if (i >= 0) costsUs.get(name)!.push((user + system) / count);
    }
  }
  return {
    name,
    columns: ["µs CPU"],
    rows: pieces.map(({ name, per }) => ({
      title: `${name}, per ${per}`,
      decimals: 2,
      cells: [figure(costsUs.get(name)!)],
    })),
  };
}
