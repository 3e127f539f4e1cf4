import { hasRealDay } from "@chowhound/shared/record/real-day";
import { UsageError } from "./cli-error.ts";

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/**
 * A time as RFC 3339 ("2026-01-31T10:00:00Z"), a date ("2026-01-31", midnight UTC), or how long ago: "90s", "15m", "2h",
 * "1d", "1h30m".
 *
 * @param option for the error, such as "--since"
 * @throws {UsageError}
 */
export function parseTime(text: string, option: string, now = new Date()): Date {
  const agoMs = parseSpan(text);
  if (agoMs !== undefined && agoMs <= now.getTime()) return new Date(now.getTime() - agoMs);
  const isTime = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/i.test(text);
  const time = new Date(text.replace(" ", "T"));
  const isDay = !Number.isNaN(time.getTime()) && hasRealDay(text);
  if (!isTime || !isDay)
    throw new UsageError(
      `${option}: ${JSON.stringify(text)} is no time; give how long ago (90s, 15m, 2h, 1d), a date (2026-01-31) or ` +
        "a time with its zone (2026-01-31T10:00:00Z)",
    );
  return time;
}

/** "1h30m" in milliseconds; undefined where it is none. */
export function parseSpan(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?[smhdw])+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)([smhdw])/g))
    ms += Number(amount) * UNIT_MS[unit!]!;
  return ms;
}
