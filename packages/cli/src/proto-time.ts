import { type Duration, type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";

/** A duration in seconds, with its fraction. */
export function secondsOf({ seconds, nanos }: Duration): number {
  return Number(seconds) + nanos / 1e9;
}

/** A time in RFC 3339 with milliseconds, or with microseconds where it has them; "" where there is none. */
export function formatTimestamp(timestamp: Timestamp | undefined): string {
  if (timestamp === undefined) return "";
  const iso = new Date(Number(timestamp.seconds) * 1000).toISOString().slice(0, 19);
  const microseconds = Math.floor(timestamp.nanos / 1000)
    .toString()
    .padStart(6, "0");
  return `${iso}.${microseconds.replace(/000$/, "")}Z`;
}

export function timestampOf(date: Date): Timestamp {
  return timestampFromMs(date.getTime());
}
