/**
 * Writes the table of docs/metrics.md from the registry of metrics. With --check: changes nothing, exits 1 where the
 * table is out of date.
 */
import {
  definitionOf,
  METRIC_NAMES,
  type MetricName,
  SERVICES,
} from "@chowhound/shared/telemetry/metric-registry";
import { prometheusName } from "@chowhound/shared/telemetry/prometheus-names";
import { writeSection } from "./generated-section.ts";

function row(name: MetricName): string {
  const { kind, unit, description, attributes, services } = definitionOf(name);
  const keys = Object.keys(attributes).map((key) => `\`${key}\``);
  const by = services.length === SERVICES.length ? "all" : services.join(", ");
  const names = `\`${name}\`<br>\`${prometheusName(name, definitionOf(name))}\``;
  return `| ${[names, `${kind}, \`${unit}\``, description, keys.join("<br>"), by].join(" | ")} |`;
}

const header = "| OpenTelemetry, Prometheus | kind, unit | what | attributes | services |";
writeSection(
  "docs/metrics.md",
  "metrics",
  [header, "| --- | --- | --- | --- | --- |", ...METRIC_NAMES.map(row)].join("\n"),
);
