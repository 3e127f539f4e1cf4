import { pause } from "./backoff.ts";

const INTERVAL_MS = 250;
const MAX_OPEN_TICKS = 2;

/** Why something is not there that leaves a question open. */
export const NO_ANSWER = "no answer";

/**
 * Keeps health true within a second: asks something four times a second whether it is there, until `signal` is
 * aborted. Reports each answer: undefined where it is there, else why not. A question that stays open for half a second
 * is reported, too, and still counts when it is answered later.
 *
 * That half second is counted in ticks of this loop: a process that was held up itself hears first what has come in
 * the meantime, and doesn't take its own delay for that of others.
 *
 * @param ask resolves where it is there; must settle at some time
 */
export async function probe(
  ask: () => Promise<unknown>,
  report: (why: string | undefined) => void,
  signal: AbortSignal,
): Promise<void> {
  let openTicks = 0;
  const answered = (why: string | undefined): void => {
    openTicks = 0;
    if (!signal.aborted) report(why);
  };
  while (await pause(INTERVAL_MS, signal)) {
    if (openTicks === 0) {
      openTicks = 1;
      ask().then(
        () => answered(undefined),
        (error: Error) => answered(error.message),
      );
    } else if (openTicks++ === MAX_OPEN_TICKS) {
      report(NO_ANSWER);
    }
  }
}
