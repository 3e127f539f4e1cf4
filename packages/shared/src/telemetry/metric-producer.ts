import { type HrTime, ValueType } from "@opentelemetry/api";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type MetricProducer,
} from "@opentelemetry/sdk-metrics";
import { resources } from "@opentelemetry/sdk-node";
import type { Histogram } from "./histogram.ts";
import type { Meter, Metric } from "./meter.ts";
import { prometheusName } from "./prometheus-names.ts";

/** Whose names the metrics get; see `prometheusName`. */
export type Naming = "opentelemetry" | "prometheus";

/** Gives what the meter has counted to a reader of OpenTelemetry's SDK, always as totals since the process started. */
export function createMetricProducer(meter: Meter, naming: Naming): MetricProducer {
  const startTime = toHrTime(meter.startedAt.getTime());
  return {
    collect: async () => {
      const metrics = await meter.collect();
      const endTime = toHrTime(Date.now());
      return {
        resourceMetrics: {
          // The reader puts its own in the place of it.
          resource: resources.emptyResource(),
          scopeMetrics: [
            {
              scope: { name: "chowhound" },
              metrics: metrics.map((metric) => toMetricData(metric, naming, { startTime, endTime })),
            },
          ],
        },
        errors: [],
      };
    },
  };
}

function toMetricData(
  { name, definition, series }: Metric,
  naming: Naming,
  times: { startTime: HrTime; endTime: HrTime },
): MetricData {
  const common = {
    descriptor: {
      // In Prometheus's form the unit is in the name.
      ...(naming === "prometheus"
        ? { name: prometheusName(name, definition), unit: "" }
        : { name, unit: definition.unit }),
      description: definition.description,
      valueType: ValueType.DOUBLE,
    },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  const points = <T>(read: (value: number | Histogram) => T) =>
    series.map(({ attributes, value }) => ({ ...times, attributes, value: read(value) }));
  switch (definition.kind) {
    case "counter":
      return {
        ...common,
        dataPointType: DataPointType.SUM,
        isMonotonic: true,
        dataPoints: points((value) => value as number),
      };
    case "gauge":
      return {
        ...common,
        dataPointType: DataPointType.GAUGE,
        dataPoints: points((value) => value as number),
      };
    case "histogram":
      return {
        ...common,
        dataPointType: DataPointType.HISTOGRAM,
        dataPoints: points((value) => {
          const { bounds, counts, count, sum } = value as Histogram;
          return { buckets: { boundaries: [...bounds], counts: [...counts] }, count, sum };
        }),
      };
  }
}

function toHrTime(ms: number): HrTime {
  return [Math.floor(ms / 1000), (ms % 1000) * 1_000_000];
}
