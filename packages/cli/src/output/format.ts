/** 1234567 as "1,234,567". */
export function formatCount(value: number | bigint): string {
  return value.toLocaleString("en-US");
}

/** Records per second and the like: one decimal below 10. */
export function formatRate(perSecond: number): string {
  return perSecond.toLocaleString("en-US", { maximumFractionDigits: perSecond < 10 ? 1 : 0 });
}

/** A time span with its two greatest units: "2d 3h", "3m 20s", "4.2s", "15ms". */
export function formatSeconds(seconds: number): string {
  if (seconds > 0 && seconds < 1) return `${Math.round(seconds * 1000)}ms`;
  if (seconds < 10) return `${Math.round(seconds * 10) / 10}s`;
  const whole = Math.round(seconds);
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "m"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join(" ");
}

/** Binary units: "4.0 MiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A text on one line, without what could move the cursor or change colours: it may come from anybody's record. */
export function printable(text: string): string {
  return text.replace(/[\t\n\r]+/g, " ").replace(/[\p{Cc}\p{Bidi_Control}]/gu, "\ufffd");
}

/** As `printable`, with its lines. */
export function printableLines(text: string): string[] {
  return text.split(/\r\n|[\n\r]/).map(printable);
}

/** Cuts a text to so many characters, on one line. */
export function clip(text: string, width: number): string {
  const characters = [...printable(text).trim()];
  return characters.length <= width
    ? characters.join("")
    : `${characters.slice(0, Math.max(0, width - 1)).join("")}…`;
}
