import { formatBytes, formatCount, formatRate, formatSeconds } from "../output/format.ts";

/** How far a push is. */
export interface Progress {
  readBytes: number;
  /** Of all files as stored; undefined where there is no telling. */
  totalBytes: number | undefined;
  accepted: number;
  rejected: number;
  seconds: number;
  recordsPerSecond: number;
}

const BAR_COLUMNS = 24;

/** One line that fits `columns`; what matters least is left out first. */
export function renderProgress(progress: Progress, columns: number): string {
  const { readBytes, totalBytes, accepted, rejected, seconds, recordsPerSecond } = progress;
  const parts = [
    `${formatCount(accepted)} accepted`,
    `${formatCount(rejected)} rejected`,
    `${formatRate(recordsPerSecond)}/s`,
  ];
  if (totalBytes === undefined || totalBytes === 0)
    return fit([...parts, `${formatBytes(readBytes)} read`], columns);
  const share = Math.min(1, readBytes / totalBytes);
  const done = Math.round(share * BAR_COLUMNS);
  const bar = `${"█".repeat(done)}${"░".repeat(BAR_COLUMNS - done)}`;
  const leftSeconds = (seconds * (1 - share)) / share;
  const isTelling = share > 0 && share < 1 && seconds >= 2;
  if (isTelling) parts.push(`${formatSeconds(Math.ceil(leftSeconds))} left`);
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const line = fit([`${bar} ${percent}`, ...parts], columns);
  return line.length <= columns ? line : fit([percent.trim(), ...parts], columns);
}

function fit(parts: readonly string[], columns: number): string {
  for (let count = parts.length; count > 2; count--) {
    const line = parts.slice(0, count).join("  ");
    if (line.length <= columns) return line;
  }
  return parts.slice(0, 2).join("  ");
}
