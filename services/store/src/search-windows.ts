/** A span of time in microseconds since 1970: from `fromUs` on, before `beforeUs`. */
export interface TimeWindow {
  fromUs: number;
  beforeUs: number;
}

const FIRST_US = 60_000_000;
const GROWTH = 2;

/** Windows from one time back to another without a gap, newest first, each longer than the one before. */
export function* windowsBack({ fromUs, beforeUs }: TimeWindow): Generator<TimeWindow> {
  let end = beforeUs;
  for (let lengthUs = FIRST_US; end > fromUs; lengthUs *= GROWTH) {
    const start = Math.max(fromUs, end - lengthUs);
    yield { fromUs: start, beforeUs: end };
    end = start;
  }
}
