import type { MetricDefinition } from "./metric-registry.ts";

/** What Prometheus calls the units that the registry uses; what is in braces has no suffix. */
const UNIT_SUFFIXES: Readonly<Record<string, string>> = { s: "seconds", By: "bytes" };

/**
 * What a metric is called in Prometheus, by the rules with which Prometheus itself translates what it receives by OTLP
 * (its default, UnderscoreEscapingWithSuffixes). The scrape endpoint uses the same names.
 */
export function prometheusName(
  name: string,
  { kind, unit }: Pick<MetricDefinition, "kind" | "unit">,
): string {
  const words = name.split(/[^A-Za-z0-9]+/);
  const suffix = UNIT_SUFFIXES[unit];
  if (suffix !== undefined && !words.includes(suffix)) words.push(suffix);
  if (kind === "counter") return [...words.filter((word) => word !== "total"), "total"].join("_");
  if (kind === "gauge" && unit === "1")
    return [...words.filter((word) => word !== "ratio"), "ratio"].join("_");
  return words.join("_");
}

/** The names of all series of a metric in Prometheus. */
export function prometheusNames(name: string, definition: Pick<MetricDefinition, "kind" | "unit">): string[] {
  const base = prometheusName(name, definition);
  return definition.kind === "histogram" ? ["_bucket", "_sum", "_count"].map((part) => base + part) : [base];
}

/** What an attribute is called in Prometheus. */
export function prometheusLabel(attribute: string): string {
  return attribute.replaceAll(/[^A-Za-z0-9_]/g, "_");
}
