import { styleText } from "node:util";
import type { AdminProcess } from "../mesh/mesh.ts";
import { createLiveFrame } from "../output/live-frame.ts";
import { renderMesh } from "./render-mesh.ts";
import { watchMesh } from "./watch-mesh.ts";

/** A view of the mesh that stays at the bottom of a terminal and is drawn over itself. */
export interface LiveScreen {
  /** A line above it, which stays. */
  note(text: string): void;
  /** Resolves once it is gone. */
  stopped: Promise<void>;
}

/** A terminal whose size isn't known says 0. */
const DEFAULT_SIZE = { columns: 80, rows: 24 };

export function startLiveScreen(options: {
  /** As that of `watchMesh`. */
  find(): Promise<readonly AdminProcess[]>;
  output: NodeJS.WritableStream & { columns?: number; rows?: number };
  /** Shown under the view. */
  footer: string;
  /** Aborted: the view goes away. */
  signal: AbortSignal;
}): LiveScreen {
  const { output, find, signal, footer } = options;
  const frame = createLiveFrame(output);
  const show = async (): Promise<void> => {
    for await (const view of watchMesh(find, signal)) {
      const columns = (output.columns || DEFAULT_SIZE.columns) - 1;
      // A blank line above, the footer below, and the line that the cursor is on.
      const rows = (output.rows || DEFAULT_SIZE.rows) - 3;
      const lines = renderMesh(view, { columns, rows }, (style, text) => styleText(style, text));
      frame.draw(["", ...lines, styleText("dim", footer.slice(0, columns))].join("\n"));
    }
    frame.end();
  };
  const stopped = show();
  return {
    note: (text) => (signal.aborted ? void output.write(`${text}\n`) : frame.note(text)),
    stopped,
  };
}
