/** What was done to a mesh, and when. */
export class Journal {
  readonly #startedMs = performance.now();
  readonly #onLine: (line: string) => void;
  readonly lines: string[] = [];
  /** How many faults were injected. */
  faults = 0;

  constructor(onLine: (line: string) => void = () => {}) {
    this.#onLine = onLine;
  }

  note(text: string): void {
    const seconds = ((performance.now() - this.#startedMs) / 1000).toFixed(1).padStart(6);
    const line = `${seconds} s  ${text}`;
    this.lines.push(line);
    this.#onLine(line);
  }

  fault(text: string): void {
    this.faults++;
    this.note(text);
  }
}
