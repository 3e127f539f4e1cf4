/** One sample of a scrape. */
export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Reads Prometheus's text format. Throws at a line that is none. */
export function parsePrometheusText(text: string): Sample[] {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null) throw new Error(`not a sample: ${line}`);
    const [, name, labels = "", value] = match;
    const pairs = labels.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g);
    return {
      name: name!,
      labels: Object.fromEntries(Array.from(pairs, ([, key, text]) => [key, text])),
      value: value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value),
    };
  });
}
