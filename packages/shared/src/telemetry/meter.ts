import { Histogram } from "./histogram.ts";
import {
  definitionOf,
  METRIC_NAMES,
  type METRICS,
  type MetricDefinition,
  type MetricName,
  OTHER_TENANTS,
  type ServiceName,
  TENANT,
} from "./metric-registry.ts";
import { RateWindow } from "./rate-window.ts";

type Registry = typeof METRICS;
type NameOf<Kind> = {
  [Name in MetricName]: Registry[Name]["kind"] extends Kind ? Name : never;
}[MetricName];
export type CounterName = NameOf<"counter">;
export type GaugeName = NameOf<"gauge">;
export type HistogramName = NameOf<"histogram">;

type ValueOf<Values> = Values extends readonly (infer Value)[] ? Value : string;
/** The attributes of a metric, all of them. */
export type AttributesOf<Name extends MetricName> = {
  readonly [Key in keyof Registry[Name]["attributes"]]: ValueOf<Registry[Name]["attributes"][Key]>;
};
/** Nothing where the metric has no attributes. */
type Attributes<Name extends MetricName> = keyof Registry[Name]["attributes"] extends never
  ? []
  : [attributes: AttributesOf<Name> & Readonly<Record<string, string>>];

/** One combination of attributes of a metric, and its value now. */
export interface Series {
  readonly attributes: Readonly<Record<string, string>>;
  value: number | Histogram;
}

/** A metric with all its series. */
export interface Metric {
  name: MetricName;
  definition: MetricDefinition;
  series: readonly Series[];
}

export interface MeterOptions {
  /** So many tenants have series of their own; those that come later share one. */
  maxTenants?: number;
  /** Milliseconds; for tests. */
  now?: () => number;
}

const MAX_TENANTS = 200;
/** However many collect, what `onCollect` has asked for is asked for no more often than this. */
const REFRESH_MS = 2_000;
const REFRESH_TIMEOUT_MS = 1_000;

/**
 * Counts what passes through a process, by the names of the registry. It is the one place for that: GetStatus shows it, and
 * exporters, where there are any, read it. Memory is bounded: attributes have few values, and tenants are bounded.
 */
export class Meter {
  /** When counting began. */
  readonly startedAt = new Date();
  readonly #families = new Map<MetricName, Family>();
  readonly #tenants = new Set<string>();
  readonly #maxTenants: number;
  readonly #now: () => number;
  readonly #rate: RateWindow;
  readonly #batchRecords: Histogram;
  readonly #refreshers: (() => void | Promise<void>)[] = [];
  #refreshing: Promise<void> | undefined;
  #refreshedMs = Number.NEGATIVE_INFINITY;

  constructor(service: ServiceName, options: MeterOptions = {}) {
    const { maxTenants = MAX_TENANTS, now = () => performance.now() } = options;
    this.#maxTenants = maxTenants;
    this.#now = now;
    this.#rate = new RateWindow(now);
    for (const name of METRIC_NAMES) {
      const definition = definitionOf(name);
      const keys = Object.keys(definition.attributes);
      this.#families.set(name, { definition, keys, series: new Map() });
      if (definition.services.includes(service)) this.#beginAtZero(name, definition);
    }
    this.#batchRecords = this.#series("chowhound.batch.records").value as Histogram;
  }

  /** One batch has passed: `bytes` is its size as a message. */
  batch(records: number, bytes: number): void {
    this.#rate.add(records);
    this.record("chowhound.batch.records", records);
    this.record("chowhound.batch.size", bytes);
  }

  /** Adds to a counter. */
  count<Name extends CounterName>(name: Name, by: number, ...[attributes]: Attributes<Name>): void {
    (this.#series(name, attributes).value as number) += by;
  }

  /** Sets a gauge, or a counter to a total that somebody else counts. */
  set<Name extends GaugeName | CounterName>(
    name: Name,
    value: number,
    ...[attributes]: Attributes<Name>
  ): void {
    this.#series(name, attributes).value = value;
  }

  /** Notes one value in a histogram. */
  record<Name extends HistogramName>(name: Name, value: number, ...[attributes]: Attributes<Name>): void {
    (this.#series(name, attributes).value as Histogram).record(value, 1);
  }

  /** Notes a value that so many records have in common. */
  recordTimes<Name extends HistogramName>(
    name: Name,
    value: number,
    times: number,
    ...[attributes]: Attributes<Name>
  ): void {
    (this.#series(name, attributes).value as Histogram).record(value, times);
  }

  /** Forgets the series of a gauge, which nobody knows at the moment. */
  clear(name: GaugeName): void {
    this.#families.get(name)!.series.clear();
  }

  /** Sets a gauge anew: what is not among these is gone, and what counts together, as tenants beyond the bound do, is added up. */
  replace<Name extends GaugeName>(
    name: Name,
    series: readonly { value: number; attributes: AttributesOf<Name> & Readonly<Record<string, string>> }[],
  ): void {
    this.clear(name);
    for (const { value, attributes } of series) (this.#series(name, attributes).value as number) += value;
  }

  /** The sum of a counter or gauge over its series that have these attributes. */
  total<Name extends CounterName | GaugeName>(name: Name, having: Partial<AttributesOf<Name>> = {}): number {
    let sum = 0;
    for (const { attributes, value } of this.#families.get(name)!.series.values())
      if (Object.entries(having).every(([key, wanted]) => attributes[key] === wanted)) sum += value as number;
    return sum;
  }

  /** Records that have passed. */
  get records(): number {
    return this.#batchRecords.sum;
  }

  /** Batches that have passed. */
  get batches(): number {
    return this.#batchRecords.count;
  }

  /** On average of all that have passed; 1 until one has. */
  get recordsPerBatch(): number {
    return this.batches === 0 ? 1 : this.records / this.batches;
  }

  /** Records per second over the last 10 whole seconds. */
  get recordsPerSecond(): number {
    return this.#rate.perSecond;
  }

  /** Has `refresh` called before a collection, but not each time where many collect. It may take its time, not all of it. */
  onCollect(refresh: () => void | Promise<void>): void {
    this.#refreshers.push(refresh);
  }

  /** Every metric of the service that has series, as it is now. */
  async collect(): Promise<Metric[]> {
    if (this.#now() - this.#refreshedMs >= REFRESH_MS)
      this.#refreshing ??= this.#refresh().finally(() => {
        this.#refreshing = undefined;
      });
    await this.#refreshing;
    return this.metrics;
  }

  /** As `collect`, without asking anybody. */
  get metrics(): Metric[] {
    return Array.from(this.#families, ([name, { definition, series }]) => ({
      name,
      definition,
      series: [...series.values()],
    })).filter(({ series }) => series.length > 0);
  }

  async #refresh(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const overdue = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, REFRESH_TIMEOUT_MS);
    });
    await Promise.race([
      Promise.all(this.#refreshers.map(async (refresh) => await refresh())),
      overdue,
    ]).catch(() => {});
    clearTimeout(timer);
    this.#refreshedMs = this.#now();
  }

  /** Where it is known which series there can be: so that the first step of a counter shows as one. */
  #beginAtZero(name: MetricName, { kind, attributes }: MetricDefinition): void {
    if (kind === "gauge") return;
    let combinations: Record<string, string>[] = [{}];
    for (const [key, values] of Object.entries(attributes)) {
      if (values === "open") return;
      combinations = combinations.flatMap((other) => values.map((value) => ({ ...other, [key]: value })));
    }
    for (const combination of combinations) this.#series(name, combination);
  }

  #series(name: MetricName, attributes: Readonly<Record<string, string>> = {}): Series {
    const { definition, keys, series } = this.#families.get(name)!;
    let id = "";
    for (const key of keys) id += `${this.#bounded(key, attributes[key]!)}\0`;
    let found = series.get(id);
    if (found === undefined) {
      found = {
        attributes: Object.fromEntries(keys.map((key) => [key, this.#bounded(key, attributes[key]!)])),
        value: definition.kind === "histogram" ? new Histogram(definition.bounds ?? []) : 0,
      };
      series.set(id, found);
    }
    return found;
  }

  #bounded(key: string, value: string): string {
    if (key !== TENANT || this.#tenants.has(value)) return value;
    if (this.#tenants.size === this.#maxTenants) return OTHER_TENANTS;
    this.#tenants.add(value);
    return value;
  }
}

/** All series of a metric, by the values of its attributes. */
interface Family {
  definition: MetricDefinition;
  keys: readonly string[];
  series: Map<string, Series>;
}
