import { setTimeout as sleep } from "node:timers/promises";
import { openBooks } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { encodeRequests } from "./generate-records.ts";
import { openProducer } from "./load/producer.ts";
import { type Bench, type Measurement, measureLoad } from "./measure-load.ts";
import type { OtlpSink } from "./start-otlp-sink.ts";

/** How much is traced, as CHOWHOUND_TRACE_RATIO says it; undefined: there is nowhere to send spans to. */
const RATIOS = { off: undefined, none: "0", few: "0.01", all: "1" } as const;
export type TracingMode = keyof typeof RATIOS;
export const TRACING_MODES = Object.keys(RATIOS) as TracingMode[];

/** The same load under each mode, each on a mesh of its own. */
export type TracingRound = Record<TracingMode, TracedMeasurement>;

export interface TracedMeasurement extends Measurement {
  /** What the receiver got meanwhile. */
  spanBytes: number;
}

const WARM_UP_RECORDS = 20_000;
const FIRST = 10_000_000;
/** How long a service keeps spans: short, so that sending them counts where they were made. */
const SCHEDULE_DELAY_MS = 200;
const EXPORT_MS = 1_000;

/** The settings of all services that make a mesh trace as the mode says. */
export function tracingEnv(mode: TracingMode, sink: OtlpSink): Record<string, string> {
  const ratio = RATIOS[mode];
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: "",
    ...(ratio !== undefined && {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${sink.url}/v1/traces`,
      OTEL_BSP_SCHEDULE_DELAY: String(SCHEDULE_DELAY_MS),
      CHOWHOUND_TRACE_RATIO: ratio,
    }),
  };
}

/** Lands new records on a mesh that has none yet. */
export async function measureTraced(
  mesh: Mesh,
  { records, sink, signal }: { records: number; sink: OtlpSink; signal: AbortSignal },
): Promise<TracedMeasurement> {
  const producer = await openProducer(mesh.endpoints);
  const keeper = await openBooks(mesh.endpoints.postgresUrl);
  const bench: Bench = { mesh, producer, keeper, signal, others: { receiver: sink.pid } };
  const land = (first: number, count: number): Promise<Measurement> =>
    measureLoad(bench, encodeRequests({ first, count, revision: 0 }), count, ["stored"]);
  try {
    await land(0, WARM_UP_RECORDS);
    await sleep(EXPORT_MS, undefined, { signal });
    const before = await sink.received();
    const measured = await land(FIRST, records);
    await sleep(EXPORT_MS, undefined, { signal });
    return { ...measured, spanBytes: (await sink.received()).bytes - before.bytes };
  } finally {
    producer.close();
    await keeper.close();
  }
}
