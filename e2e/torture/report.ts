import { verdicts } from "@chowhound/local/books";
import type { PlayedFault } from "./play-faults.ts";
import type { TortureResult } from "./run-torture.ts";

const MIB = 2 ** 20;

/** For people, in Markdown: what was done, and what came of it. */
export function renderReport(result: TortureResult): string {
  const { accepted, replayed, failedCalls, audits, meshes, rounds, faults, tookMs, maxRss, findings } =
    result;
  const booked = verdicts
    .filter((verdict) => result.verdicts[verdict] > 0)
    .map((verdict) => `${count(result.verdicts[verdict])} ${verdict}`);
  const memory = Object.entries(maxRss).map(([name, bytes]) => `${name} ${Math.round(bytes / MIB)}`);
  return [
    renderFaults(faults),
    "",
    `${rounds} rounds on ${describeMeshes(meshes)} in ${(tookMs / 60_000).toFixed(1)} minutes, seed ${result.seed}; ${faults.length} faults`,
    `${count(accepted)} records accepted, ${count(failedCalls)} calls repeated, ${count(replayed)} dead letters replayed`,
    `booked: ${booked.join(", ")}`,
    `max RSS in MiB: ${memory.join(", ")}`,
    findings.length === 0 ? `${audits} audits, nothing found` : `${findings.length} findings`,
  ].join("\n");
}

function describeMeshes(meshes: readonly number[]): string {
  const clusters = meshes.filter((natsServers) => natsServers > 1).length;
  return `${meshes.length} ${meshes.length === 1 ? "mesh" : "meshes"}, ${clusters} of them with a NATS cluster,`;
}

/** How long a mesh took to work again after each kind of fault. */
export function renderFaults(faults: readonly PlayedFault[]): string {
  const rows = [...new Set(faults.map(({ kind }) => kind))].sort().map((kind) => {
    const ofKind = faults.filter((each) => each.kind === kind);
    const { median, max } = spread(ofKind.flatMap(({ recoveryMs }) => recoveryMs ?? []));
    return [kind, String(ofKind.length), seconds(median), seconds(max)];
  });
  const header = ["fault", "times", "recovery, median", "recovery, max"];
  return [header, header.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Undefined where there is nothing. */
export function spread(values: readonly number[]): { median: number | undefined; max: number | undefined } {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: sorted[(sorted.length - 1) >> 1], max: sorted.at(-1) };
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? "" : `${(ms / 1000).toFixed(1)} s`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
