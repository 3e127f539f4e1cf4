import { stripVTControlCharacters } from "node:util";
import { createLogUpdate } from "log-update";

/** Text at the bottom of a terminal that is drawn over itself. */
export interface LiveFrame {
  draw(text: string): void;
  /** Lines above it, which stay. */
  note(text: string): void;
  /** Takes it away. */
  end(): void;
}

/** A terminal whose size isn't known says 0, or nothing. */
const DEFAULT_COLUMNS = 80;

export function createLiveFrame(output: NodeJS.WritableStream & { columns?: number }): LiveFrame {
  const update = createLogUpdate(output);
  let drawn = "";
  let drawnColumns = 0;
  const columnsNow = (): number => output.columns || DEFAULT_COLUMNS;

  /** A terminal that gets narrower breaks the lines that are there, so that they take more rows than were drawn. */
  const eraseIfBroken = (): void => {
    if (drawn === "" || columnsNow() >= drawnColumns) return;
    const rows = countRows(drawn, columnsNow());
    output.write(`\x1b[2K${"\x1b[1A\x1b[2K".repeat(rows)}\x1b[G`);
    // Forgets what it has drawn.
    update.done();
    drawn = "";
  };

  return {
    draw: (text) => {
      eraseIfBroken();
      update(text);
      drawn = text;
      drawnColumns = columnsNow();
    },
    note: (text) => {
      eraseIfBroken();
      update.persist(text);
      drawn = "";
    },
    end: () => {
      eraseIfBroken();
      update.clear();
      update.done();
      drawn = "";
    },
  };
}

function countRows(text: string, columns: number): number {
  return text
    .split("\n")
    .map((line) => Math.max(1, Math.ceil(stripVTControlCharacters(line).length / columns)))
    .reduce((sum, rows) => sum + rows, 0);
}
