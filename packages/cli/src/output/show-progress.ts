import type { WriteStream } from "node:tty";
import { createLiveFrame } from "./live-frame.ts";

/** Shows how far something is, and what is to be said meanwhile. */
export interface ProgressDisplay {
  /** A line that stays. */
  note(text: string): void;
  stop(): void;
}

const TERMINAL_EVERY_MS = 100;
const PLAIN_EVERY_MS = 5_000;

/**
 * On a terminal a line that is drawn over itself; elsewhere one now and then.
 *
 * @param render the line, which should fit the columns
 */
export function showProgress(
  output: NodeJS.WritableStream & Partial<Pick<WriteStream, "isTTY" | "columns">>,
  render: (columns: number) => string,
): ProgressDisplay {
  if (output.isTTY !== true) {
    const note = (text: string): void => void output.write(`${text}\n`);
    const timer = setInterval(() => note(render(Number.POSITIVE_INFINITY)), PLAIN_EVERY_MS);
    return { note, stop: () => clearInterval(timer) };
  }
  const frame = createLiveFrame(output);
  const timer = setInterval(() => frame.draw(render((output.columns || 80) - 1)), TERMINAL_EVERY_MS);
  return {
    note: frame.note,
    stop: () => {
      clearInterval(timer);
      frame.end();
    },
  };
}
