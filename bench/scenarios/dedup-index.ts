import { createFingerprintIndex } from "@chowhound/shared/evidence/fingerprint-index";
import { figureOf, type Row, type Table } from "../report/table.ts";
import type { Scenario } from "../scenario.ts";

const KEYS = { full: [1_000_000, 10_000_000, 20_000_000], quick: [100_000, 200_000] };
/** Fingerprints that are looked up or added between two looks at the clock. */
const BLOCK = 65_536;
const LOOKUPS = { full: 4_000_000, quick: 200_000 };
const BYTES = 16;

/** Of an index that was made for so many keys and got as many. */
interface Measured {
  bytesPerKey: number;
  addsPerSecond: number;
  hitsPerSecond: number;
  missesPerSecond: number;
  /** Of the keys added, in percent: its buckets fill unevenly. */
  evictedPercent: number;
}

export const dedupIndex: Scenario = {
  name: "index",
  isUsual: false,
  about: "no mesh: dedup's index at 1, 10 and 20 million keys: bytes for a key, lookups a second",
  run: async ({ quick, signal, rounds: count = quick ? 1 : 3 }) => {
    const sizes = quick ? KEYS.quick : KEYS.full;
    const rounds: Measured[][] = [];
    for (let number = 1; number <= count; number++) {
      const round: Measured[] = [];
      for (const keys of sizes) {
        signal.throwIfAborted();
        round.push(measureIndex(keys, quick ? LOOKUPS.quick : LOOKUPS.full));
      }
      rounds.push(round);
    }
    return { tables: [tableOf(sizes, rounds)], rounds };
  },
};

function measureIndex(keys: number, lookups: number): Measured {
  const index = createFingerprintIndex({ capacity: keys });
  const block = Buffer.alloc(BLOCK * BYTES);
  /** Runs over so many fingerprints, `from` on; the making of them isn't timed. */
  const timed = (from: number, count: number, step: number, each: (offset: number) => void): number => {
    let spentMs = 0;
    for (let done = 0; done < count; done += BLOCK) {
      const length = Math.min(BLOCK, count - done);
      for (let i = 0; i < length; i++) writeFingerprint(block, i * BYTES, from + (done + i) * step);
      const startedMs = performance.now();
      for (let i = 0; i < length; i++) each(i * BYTES);
      spentMs += performance.now() - startedMs;
    }
    return count / (spentMs / 1000);
  };
  const addsPerSecond = timed(0, keys, 1, (offset) => index.add(block, offset));
  const evictedPercent = (index.evictions / keys) * 100;
  // From all over the index, so that the processor's caches help no more than they do in use.
  const step = Math.max(1, Math.floor(keys / lookups));
  const hitsPerSecond = timed(0, lookups, step, (offset) => index.has(block, offset));
  const missesPerSecond = timed(keys, lookups, 1, (offset) => index.has(block, offset));
  return { bytesPerKey: index.bytes / keys, addsPerSecond, hitsPerSecond, missesPerSecond, evictedPercent };
}

/** Evenly distributed, as hashes are: counted on, and mixed as MurmurHash3 ends. */
function writeFingerprint(out: Buffer, at: number, number: number): void {
  let state = number | 0;
  for (let word = 0; word < BYTES; word += 4) {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    out.writeInt32LE(mixed ^ (mixed >>> 16), at + word);
  }
}

function tableOf(sizes: readonly number[], rounds: readonly (readonly Measured[])[]): Table {
  const row = (
    title: string,
    decimals: number,
    value: (measured: Measured) => number,
    chart?: string,
  ): Row => ({
    title,
    decimals,
    cells: sizes.map((_, i) => figureOf(rounds, (round) => value(round[i]!))),
    ...(chart !== undefined && { chart }),
  });
  return {
    name: "index",
    columns: sizes.map((keys) => `${keys.toLocaleString("en")} keys`),
    rows: [
      row("bytes a key", 1, ({ bytesPerKey }) => bytesPerKey),
      row(
        "million lookups/s, found",
        1,
        ({ hitsPerSecond }) => hitsPerSecond / 1e6,
        "Million lookups a second",
      ),
      row("million lookups/s, not found", 1, ({ missesPerSecond }) => missesPerSecond / 1e6),
      row("million added/s", 1, ({ addsPerSecond }) => addsPerSecond / 1e6),
      row("evicted before it was full, %", 1, ({ evictedPercent }) => evictedPercent),
    ],
  };
}
