import type { Piece } from "./pieces/piece.ts";
import { type Figure, figure } from "./report.ts";

/** Until the compiler has seen what is hot. */
const WARM_UP_RUNS = 5;

/** Microseconds of CPU by piece: taken in turns, so that what else the machine does falls on all of them. */
export async function measurePieces(
  pieces: readonly Piece[],
  runs: number,
  signal: AbortSignal,
): Promise<Record<string, Figure>> {
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
  return Object.fromEntries(Array.from(costsUs, ([name, costs]) => [name, figure(costs)]));
}

/** A Markdown table. */
export function renderPieces(pieces: readonly Piece[], costsUs: Record<string, Figure>): string {
  const width = Math.max(...pieces.map(({ name }) => name.length));
  const rows = pieces.map(({ name, per }) => {
    const { median, min, max } = costsUs[name]!;
    const [middle, least, greatest] = [median, min, max].map((us) => us.toFixed(2));
    return `| ${name.padEnd(width)} | ${middle!.padStart(6)} (${least}–${greatest}) per ${per} |`;
  });
  return [`| ${" ".repeat(width)} | µs CPU |`, `| ${"-".repeat(width)} | --- |`, ...rows].join("\n");
}
