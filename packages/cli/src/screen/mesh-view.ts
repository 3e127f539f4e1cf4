import { ServiceState } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { METRICS } from "@chowhound/shared/telemetry/metric-registry";
import { type ProcessStatus, stateName } from "../mesh/process-status.ts";
import { secondsOf } from "../proto-time.ts";

/** What the screen shows of a mesh at one moment. */
export interface MeshView {
  at: Date;
  processes: ProcessView[];
  /** What became of records, over all processes, in the order of the registry. */
  verdicts: CountView[];
}

export interface ProcessView {
  /** The service; further processes of it are numbered from 2. */
  name: string;
  state: string;
  isRunning: boolean;
  /** Why it says nothing, or what it waits for. */
  troubles: string[];
  /** Undefined where it says nothing. */
  throughput?: { records: number; recordsPerSecond: number };
  /** Undefined where it has no stream to be behind of. */
  lag?: { batches: number; records: number; oldestSeconds: number | undefined };
  /** What else it has counted, such as what it refused; what never happened is left out. */
  counts: CountView[];
}

export interface CountView {
  name: string;
  /** Since the processes started. */
  total: number;
  perSecond: number;
}

const VERDICT = "chowhound.verdict";
const VERDICTS = METRICS["chowhound.records.verdicts"].attributes[VERDICT];

/** What is told of a service beside its throughput: the counter, summed over its attributes, by the word for it. */
const COUNTS: Readonly<Record<string, Readonly<Record<string, keyof typeof METRICS>>>> = {
  gateway: {
    accepted: "chowhound.records.accepted",
    known: "chowhound.recall.dropped",
    rejected: "chowhound.records.rejected",
    "calls refused": "chowhound.calls.refused",
  },
  enricher: { enriched: "chowhound.records.enriched", failed: "chowhound.records.failed" },
  dedup: { passed: "chowhound.dedup.passed", dropped: "chowhound.dedup.dropped" },
  store: { "writes failed": "chowhound.write.failures" },
};

/** Puts together what the processes say. Rates are of the time since `before`. */
export function createMeshView(statuses: readonly ProcessStatus[], at: Date, before?: MeshView): MeshView {
  const elapsedSeconds = before === undefined ? 0 : (at.getTime() - before.at.getTime()) / 1000;
  const count = (name: string, total: number, earlier: readonly CountView[] | undefined): CountView => {
    const previous = earlier?.find((one) => one.name === name)?.total;
    // A process that has started again counts from 0.
    const isComparable = elapsedSeconds > 0 && earlier !== undefined && (previous ?? 0) <= total;
    return { name, total, perSecond: isComparable ? (total - (previous ?? 0)) / elapsedSeconds : 0 };
  };
  const seen = new Map<string, number>();
  const processes = statuses.map(({ process, status, problem }): ProcessView => {
    const number = (seen.get(process.service) ?? 0) + 1;
    seen.set(process.service, number);
    const name = number === 1 ? process.service : `${process.service}-${number}`;
    if (status === undefined)
      return { name, state: "unreachable", isRunning: false, troubles: [problem], counts: [] };
    const earlier = before?.processes.find((one) => one.name === name)?.counts;
    return {
      name,
      state: stateName(status.state),
      isRunning: status.state === ServiceState.RUNNING,
      troubles: status.waitingFor.map((what) => `waiting for ${what}`),
      throughput: {
        records: Number(status.throughput?.records ?? 0n),
        recordsPerSecond: status.throughput?.recordsPerSecond ?? 0,
      },
      ...(status.lag.length > 0 && { lag: sumLag(status.lag) }),
      counts: Object.entries(COUNTS[process.service] ?? {})
        .map(([word, metric]) => count(word, sum(status.counters, metric), earlier))
        .filter(({ total }) => total > 0),
    };
  });
  const verdicts = VERDICTS.map((verdict) => {
    const total = statuses.reduce(
      (sum, { status }) =>
        sum + Number(status?.counters[`chowhound.records.verdicts{${VERDICT}=${verdict}}`] ?? 0n),
      0,
    );
    return count(verdict, total, before?.verdicts);
  }).filter(({ total }) => total > 0);
  return { at, processes, verdicts };
}

function sumLag(lag: NonNullable<ProcessStatus["status"]>["lag"]): NonNullable<ProcessView["lag"]> {
  const ages = lag.flatMap(({ oldestAge }) => (oldestAge === undefined ? [] : [secondsOf(oldestAge)]));
  return {
    batches: lag.reduce((sum, one) => sum + Number(one.pendingBatches + one.unacknowledgedBatches), 0),
    records: lag.reduce((sum, one) => sum + Number(one.pendingRecordsEstimate), 0),
    oldestSeconds: ages.length === 0 ? undefined : Math.max(...ages),
  };
}

/** Over all attributes: "name" and "name{…}". */
function sum(counters: Readonly<Record<string, bigint>>, metric: string): number {
  let total = 0;
  for (const [name, value] of Object.entries(counters))
    if (name === metric || name.startsWith(`${metric}{`)) total += Number(value);
  return total;
}
