import {
  type AttributeValues,
  definitionOf,
  METRIC_NAMES,
  SERVICES,
} from "@chowhound/shared/telemetry/metric-registry";
import { prometheusLabel, prometheusNames } from "@chowhound/shared/telemetry/prometheus-names";
import { type LabelMatcher, parsePromql, type Selector } from "./promql-for-test.ts";

/** What a label can be: one of these values, or anything. */
type Labels = ReadonlyMap<string, AttributeValues>;

const OF_A_TARGET: Readonly<Record<string, AttributeValues>> = {
  job: SERVICES.map((service) => `chowhound-${service}`),
  instance: "open",
};

/** The labels of every series that Prometheus can have of the mesh, by the series' name. */
const SERIES: ReadonlyMap<string, Labels> = new Map([
  ["up", labels(OF_A_TARGET)],
  ["ALERTS", labels({ alertname: "open", alertstate: ["pending", "firing"] })],
  ...METRIC_NAMES.flatMap((metric) => {
    const definition = definitionOf(metric);
    return prometheusNames(metric, definition).map((name): [string, Labels] => [
      name,
      labels({
        ...OF_A_TARGET,
        ...definition.attributes,
        ...(name.endsWith("_bucket") ? { le: "open" } : {}),
      }),
    ]);
  }),
]);

function labels(attributes: Readonly<Record<string, AttributeValues>>): Labels {
  return new Map(Object.entries(attributes).map(([name, values]) => [prometheusLabel(name), values]));
}

/**
 * What is wrong with a query: metrics that no service has, labels that a metric doesn't have, values that a label never
 * has.
 *
 * @param shown labels that are shown beside the result: at least one of its metrics has each
 */
export function problemsOf(promql: string, shown: readonly string[] = []): string[] {
  const { selectors, groupings } = parsePromql(promql);
  const unknown = selectors.filter(({ metric }) => !SERIES.has(metric));
  if (unknown.length > 0) return unknown.map(({ metric }) => `there is no ${metric}`);
  const lacks = (labels: readonly string[], of: readonly Selector[]): string[] =>
    labels.flatMap((label) =>
      of
        .filter(({ metric }) => !SERIES.get(metric)!.has(label))
        .map(({ metric }) => `${metric} has no ${label}`),
    );
  return [
    ...selectors.flatMap((selector) =>
      selector.matchers.flatMap((matcher) => [
        ...lacks([matcher.label], [selector]),
        ...impossibleValues(selector.metric, matcher),
      ]),
    ),
    ...groupings.flatMap(({ labels, selectors }) => lacks(labels, selectors)),
    ...shown
      .filter((label) => !selectors.some(({ metric }) => SERIES.get(metric)!.has(label)))
      .map((label) => `nothing has ${label}`),
  ];
}

function impossibleValues(metric: string, { label, operator, value }: LabelMatcher): string[] {
  const possible = SERIES.get(metric)!.get(label);
  if (possible === undefined || possible === "open") return [];
  if (!operator.endsWith("~"))
    return possible.includes(value) ? [] : [`${label} of ${metric} is never ${value}`];
  return value
    .split("|")
    .filter((alternative) => !possible.some((one) => new RegExp(`^(?:${alternative})$`).test(one)))
    .map((alternative) => `${label} of ${metric} is never ${alternative}`);
}
