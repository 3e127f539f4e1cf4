import { setTimeout as sleep } from "node:timers/promises";
import type { Mesh } from "@chowhound/local/mesh";
import { measureFresh } from "../measure-fresh.ts";
import type { Measurement } from "../measurement.ts";
import { loadTable } from "../report/load-table.ts";
import type { Scenario } from "../scenario.ts";
import { type OtlpSink, startOtlpSink } from "../start-otlp-sink.ts";
import { turned } from "../turned.ts";
import { withMesh } from "../with-mesh.ts";

/** How much is traced, as CHOWHOUND_TRACE_RATIO says it; undefined: there is nowhere to send spans to. */
const RATIOS = { off: undefined, none: "0", few: "0.01", all: "1" } as const;
type Mode = keyof typeof RATIOS;
const MODES = Object.keys(RATIOS) as Mode[];
const COLUMNS = { off: "not configured", none: "0 %", few: "1 %", all: "100 %" } as const;

/** The same load under each mode, each on a mesh of its own. */
type Round = Record<Mode, TracedMeasurement>;

interface TracedMeasurement extends Measurement {
  /** What the receiver got meanwhile. */
  spanBytes: number;
}

const RECORDS = { full: 100_000, quick: 20_000 };
/** How long a service keeps spans: short, so that sending them counts where they were made. */
const SCHEDULE_DELAY_MS = 200;
const EXPORT_MS = 1_000;

export const tracing: Scenario = {
  name: "tracing",
  isUsual: false,
  about: `each round lands new records on four fresh meshes, in turn: tracing not configured; configured, with a ratio of 0,
of 1 % and of 100 %, and spans going to a receiver that is a process of its own`,
  run: async (context) => {
    const { quick, profileDir, signal, records = quick ? RECORDS.quick : RECORDS.full } = context;
    const { rounds: count = quick ? 1 : 5 } = context;
    const sink = await startOtlpSink();
    try {
      const rounds: Round[] = [];
      for (let number = 1; number <= count; number++) {
        const round: Partial<Round> = {};
        for (const mode of turned(MODES, number - 1)) {
          const options = {
            profileDir,
            label: `round-${number}-tracing-${mode}`,
            env: tracingEnv(mode, sink),
          };
          round[mode] = await withMesh({ ...options, signal }, (mesh) =>
            measureTraced(mesh, { records, sink, signal }),
          );
          context.log(
            `round ${number} of ${count}, ${COLUMNS[mode]}: ${round[mode].spanBytes} bytes of spans`,
          );
        }
        rounds.push(round as Round);
      }
      const ratios = [
        { to: "off", of: "speed", title: "speed, of the first's" },
        { to: "off", of: "cpu", title: "CPU, of the first's" },
      ] as const;
      return { tables: [loadTable(rounds, { name: "tracing", columns: COLUMNS, ratios })], rounds };
    } finally {
      await sink.stop();
    }
  },
};

/** The settings of all services that make a mesh trace as the mode says. */
function tracingEnv(mode: Mode, sink: OtlpSink): Record<string, string> {
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
async function measureTraced(
  mesh: Mesh,
  { records, sink, signal }: { records: number; sink: OtlpSink; signal: AbortSignal },
): Promise<TracedMeasurement> {
  const settled = async (): Promise<number> => {
    await sleep(EXPORT_MS, undefined, { signal });
    return (await sink.received()).bytes;
  };
  let bytesBefore = 0;
  const measured = await measureFresh(mesh, {
    records,
    others: { receiver: sink.pid },
    afterWarmUp: async () => {
      bytesBefore = await settled();
    },
    signal,
  });
  return { ...measured, spanBytes: (await settled()) - bytesBefore };
}
