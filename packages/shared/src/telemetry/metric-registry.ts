import { CALL_ERRORS, type CallErrorReason, DEAD_REASONS, RECORD_REASONS } from "../errors/reasons.ts";

/** The services of a mesh, in the order in which a record passes them. */
export const SERVICES = ["gateway", "enricher", "dedup", "store"] as const;
export type ServiceName = (typeof SERVICES)[number];

/** The values of an attribute: all that there are, or "open" where they are few but known only at run time. */
export type AttributeValues = readonly string[] | "open";

export interface MetricDefinition {
  /** A counter only goes up; a gauge shows a value of the moment; a histogram counts values by their size. */
  kind: "counter" | "gauge" | "histogram";
  /** In UCUM, as OpenTelemetry writes units: "s", "By", "1", and in braces what is counted. */
  unit: string;
  description: string;
  /** By key. Never an id of a source, a record or a call: what an attribute can be is bounded. */
  attributes: Readonly<Record<string, AttributeValues>>;
  /** Which services have it. */
  services: readonly ServiceName[];
  /** Upper bounds of a histogram's buckets, inclusive; one more bucket takes what is above. */
  bounds?: readonly number[];
}

/** The attribute whose values a process bounds: tenants beyond the bound all count as `OTHER_TENANTS`. */
export const TENANT = "chowhound.tenant_id";
/** No tenant can have this id. */
export const OTHER_TENANTS = "_OTHER";

const EVERY = SERVICES;
const STAGES = ["enricher", "dedup", "store"] as const;

/** From half a millisecond to ten seconds: what one call, publish or commit takes. */
const STEP_SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;
/** From five milliseconds to an hour: what the whole way takes, and what it takes when a part of the mesh was away. */
const WAY_SECONDS = [
  0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600,
] as const;
const RECORDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] as const;
const BYTES = [1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192].map((kib) => kib * 1024);

const CONSUMER = { "messaging.destination.name": "open", "messaging.consumer.group.name": "open" } as const;

/**
 * Every metric there is, by its name: names and units as OpenTelemetry's conventions have them, where they have one.
 * docs/metrics.md is made from this table; nothing else is counted, shown by GetStatus or exported.
 */
export const METRICS = {
  "chowhound.records.accepted": {
    kind: "counter",
    unit: "{record}",
    description: "Records accepted: acknowledged by RAW",
    attributes: { [TENANT]: "open" },
    services: ["gateway"],
  },
  "chowhound.records.rejected": {
    kind: "counter",
    unit: "{record}",
    description: "Records rejected at the door, each on its own",
    attributes: { [TENANT]: "open", "chowhound.reason": RECORD_REASONS },
    services: ["gateway"],
  },
  "chowhound.calls.refused": {
    kind: "counter",
    unit: "{call}",
    description: "Calls refused as a whole; nothing of them was accepted, as far as known",
    attributes: { "chowhound.reason": Object.keys(CALL_ERRORS) as CallErrorReason[] },
    services: ["gateway"],
  },
  "chowhound.call.duration": {
    kind: "histogram",
    unit: "s",
    description: "From the arrival of a call to its receipt; calls that were refused are not in it",
    attributes: {},
    services: ["gateway"],
    bounds: STEP_SECONDS,
  },
  "chowhound.in_flight.size": {
    kind: "gauge",
    unit: "By",
    description: "Bytes of records between their arrival and their acknowledgement, and 512 for each",
    attributes: {},
    services: ["gateway"],
  },
  "chowhound.in_flight.batches": {
    kind: "gauge",
    unit: "{batch}",
    description: "Batches published to RAW and not acknowledged yet",
    attributes: {},
    services: ["gateway"],
  },
  "chowhound.recall.dropped": {
    kind: "counter",
    unit: "{record}",
    description: "Accepted records that went no further than the gateway: the same ones have landed before",
    attributes: {},
    services: ["gateway"],
  },
  "chowhound.recall.size": {
    kind: "gauge",
    unit: "{record}",
    description: "Landed records that the gateway remembers",
    attributes: {},
    services: ["gateway"],
  },
  "chowhound.recall.capacity": {
    kind: "gauge",
    unit: "{record}",
    description: "Landed records that the gateway has room to remember",
    attributes: {},
    services: ["gateway"],
  },
  "chowhound.recall.questions": {
    kind: "counter",
    unit: "{question}",
    description: "Questions of the gateway whether what it remembers still holds, by the answer",
    attributes: {
      "chowhound.outcome": ["confirmed", "rebound", "void", "ask-again", "no-answer", "other-pipelines"],
    },
    services: ["gateway"],
  },
  "chowhound.batch.records": {
    kind: "histogram",
    unit: "{record}",
    description:
      "Records of each batch that passed: published by the gateway, passed on by enricher and dedup, committed by the store. Its count is the batches, its sum the records",
    attributes: {},
    services: EVERY,
    bounds: RECORDS,
  },
  "chowhound.batch.size": {
    kind: "histogram",
    unit: "By",
    description: "Size of each of these batches, as a message",
    attributes: {},
    services: EVERY,
    bounds: BYTES,
  },
  "messaging.client.operation.duration": {
    kind: "histogram",
    unit: "s",
    description:
      "From the publishing of a batch to JetStream's acknowledgement; failed attempts are not in it. The store publishes replays of dead letters",
    attributes: {
      "messaging.system": ["nats"],
      "messaging.operation.name": ["send"],
      "messaging.destination.name": "open",
    },
    services: EVERY,
    bounds: STEP_SECONDS,
  },
  "chowhound.publish.failures": {
    kind: "counter",
    unit: "{attempt}",
    description: "Attempts to publish a batch that JetStream did not acknowledge",
    attributes: { "chowhound.reason": ["stream_full", "not_acknowledged"] },
    services: EVERY,
  },
  "chowhound.lag.batches": {
    kind: "gauge",
    unit: "{batch}",
    description:
      "Messages in the stream that were not delivered yet, each a batch or several small ones; every replica of a stage shows the same",
    attributes: CONSUMER,
    services: STAGES,
  },
  "chowhound.lag.records": {
    kind: "gauge",
    unit: "{record}",
    description: "Records in these batches, estimated from the batches that the process has seen",
    attributes: CONSUMER,
    services: STAGES,
  },
  "chowhound.lag.unacknowledged": {
    kind: "gauge",
    unit: "{batch}",
    description: "Batches delivered and not acknowledged yet, by all replicas of the stage",
    attributes: CONSUMER,
    services: STAGES,
  },
  "chowhound.lag.age": {
    kind: "gauge",
    unit: "s",
    description: "How long the oldest batch in the stream has been there; 0 where the stream is empty",
    attributes: CONSUMER,
    services: STAGES,
  },
  "chowhound.stream.fill": {
    kind: "gauge",
    unit: "1",
    description:
      "How full the stream is that the stage takes from: its bytes as a share of its max_bytes. At 1 it takes no more, and calls are refused",
    attributes: { "messaging.destination.name": "open" },
    services: STAGES,
  },
  "chowhound.redeliveries": {
    kind: "counter",
    unit: "{delivery}",
    description: "Deliveries of batches that had been delivered before",
    attributes: {},
    services: STAGES,
  },
  "chowhound.consumer.restarts": {
    kind: "counter",
    unit: "{restart}",
    description:
      "Times a consumer was bound anew: after an error, or made anew because batches were stuck behind it",
    attributes: { "chowhound.reason": ["error", "stuck"] },
    services: STAGES,
  },
  "chowhound.stream.rewinds": {
    kind: "counter",
    unit: "{rewind}",
    description:
      "Times a stream was found at a lower number than it had given out: restored from an older copy. For RAW also told by the books and by what gateways had acknowledged. The log names the stream",
    attributes: {},
    services: ["gateway", ...STAGES],
  },
  "chowhound.nats.reconnects": {
    kind: "counter",
    unit: "{reconnect}",
    description: "Times the connection to NATS was lost and came back",
    attributes: {},
    services: EVERY,
  },
  "chowhound.records.enriched": {
    kind: "counter",
    unit: "{record}",
    description: "Records that a pipeline changed",
    attributes: {},
    services: ["enricher"],
  },
  "chowhound.records.failed": {
    kind: "counter",
    unit: "{record}",
    description:
      "Records that could not be enriched and travel on as dead; a batch that is delivered again counts again",
    attributes: { "chowhound.reason": DEAD_REASONS },
    services: ["enricher"],
  },
  "chowhound.pipelines.loaded": {
    kind: "gauge",
    unit: "{pipeline}",
    description: "Pipelines in force",
    attributes: {},
    services: ["enricher"],
  },
  "chowhound.dedup.candidates": {
    kind: "counter",
    unit: "{record}",
    description: "Records that the index knew, before the store was asked",
    attributes: {},
    services: ["dedup"],
  },
  "chowhound.dedup.dropped": {
    kind: "counter",
    unit: "{record}",
    description: "Records dropped: the store has them. The hit rate is dropped / (dropped + passed)",
    attributes: {},
    services: ["dedup"],
  },
  "chowhound.dedup.passed": {
    kind: "counter",
    unit: "{record}",
    description: "Records passed on",
    attributes: {},
    services: ["dedup"],
  },
  "chowhound.dedup.index.size": {
    kind: "gauge",
    unit: "{fingerprint}",
    description: "Fingerprints in the index",
    attributes: {},
    services: ["dedup"],
  },
  "chowhound.dedup.index.capacity": {
    kind: "gauge",
    unit: "{fingerprint}",
    description: "Fingerprints that the index has room for",
    attributes: {},
    services: ["dedup"],
  },
  "chowhound.dedup.index.evictions": {
    kind: "counter",
    unit: "{fingerprint}",
    description: "Fingerprints that made room for newer ones",
    attributes: {},
    services: ["dedup"],
  },
  "chowhound.dedup.confirmations": {
    kind: "counter",
    unit: "{question}",
    description: "Questions to the store whether what the index knows still holds, by the answer",
    attributes: { "chowhound.outcome": ["confirmed", "rebound", "void", "ask-again", "no-answer"] },
    services: ["dedup"],
  },
  "chowhound.dedup.notices": {
    kind: "counter",
    unit: "{notice}",
    description: "Commit notices from the store, by what they led to",
    attributes: { "chowhound.outcome": ["absorbed", "revalidate", "malformed"] },
    services: ["dedup"],
  },
  "chowhound.records.verdicts": {
    kind: "counter",
    unit: "{record}",
    description: "Records committed, by what became of them",
    attributes: {
      [TENANT]: "open",
      "chowhound.verdict": [
        "stored",
        "updated",
        "unchanged",
        "stale",
        "duplicate",
        "conflict",
        "dead_lettered",
      ],
    },
    services: ["store"],
  },
  "chowhound.records.replayed": {
    kind: "counter",
    unit: "{record}",
    description:
      "Dead letters that were replayed and committed; they have a verdict once more, so that all verdicts are what was accepted and what was replayed",
    attributes: {},
    services: ["store"],
  },
  "chowhound.dead_letters": {
    kind: "counter",
    unit: "{record}",
    description: "Dead letters committed, by the stage that could not process the record and why",
    attributes: { "chowhound.stage": ["enricher", "store"], "chowhound.reason": DEAD_REASONS },
    services: ["store"],
  },
  "chowhound.dead_letters.open": {
    kind: "gauge",
    unit: "{record}",
    description:
      "Dead letters that wait to be replayed or given up, looked up every ten seconds; every replica shows the same. Counted up to 50,000 of all tenants",
    attributes: { [TENANT]: "open" },
    services: ["store"],
  },
  "chowhound.batches.already_booked": {
    kind: "counter",
    unit: "{batch}",
    description: "Batches that came again after they had been committed, and were skipped",
    attributes: {},
    services: ["store"],
  },
  "chowhound.accept_to_commit.duration": {
    kind: "histogram",
    unit: "s",
    description:
      "From the acceptance of a record to the commit of what became of it, one value a record. As exact as the clocks of gateway and store agree",
    attributes: {},
    services: ["store"],
    bounds: WAY_SECONDS,
  },
  "chowhound.write.duration": {
    kind: "histogram",
    unit: "s",
    description: "What the transaction of a group of batches took, from its begin to the end of its COMMIT",
    attributes: {},
    services: ["store"],
    bounds: STEP_SECONDS,
  },
  "chowhound.write.failures": {
    kind: "counter",
    unit: "{attempt}",
    description: "Attempts to write a group of batches that failed and changed nothing",
    attributes: {},
    services: ["store"],
  },
  "db.client.operation.duration": {
    kind: "histogram",
    unit: "s",
    description: "What a COMMIT took",
    attributes: { "db.system.name": "open", "db.operation.name": ["COMMIT"] },
    services: ["store"],
    bounds: STEP_SECONDS,
  },
  "db.client.connection.count": {
    kind: "gauge",
    unit: "{connection}",
    description:
      "Connections to the database: those that write, one a writer, and those that answer queries, opened when they are needed, by whether they are at work",
    attributes: {
      "db.client.connection.pool.name": ["writers", "readers"],
      "db.client.connection.state": ["used", "idle"],
    },
    services: ["store"],
  },
  "db.client.connection.pending_requests": {
    kind: "gauge",
    unit: "{request}",
    description: "Queries that wait for a connection",
    attributes: { "db.client.connection.pool.name": ["readers"] },
    services: ["store"],
  },
  "chowhound.spans.lost": {
    kind: "counter",
    unit: "{span}",
    description:
      "Recorded spans that reached no collector: the queue had no room for them, or they could not be sent",
    attributes: { "chowhound.reason": ["queue_full", "not_sent"] },
    services: EVERY,
  },
  "chowhound.service.state": {
    kind: "gauge",
    unit: "{process}",
    description: "1 for the state that the process is in, 0 for the others",
    attributes: { "chowhound.state": ["starting", "running", "paused", "draining"] },
    services: EVERY,
  },
  "chowhound.dependency.up": {
    kind: "gauge",
    unit: "{dependency}",
    description: "1 where the process has what it depends on, 0 where it waits for it",
    attributes: { "chowhound.dependency": "open" },
    services: EVERY,
  },
  "nodejs.eventloop.delay.p50": {
    kind: "gauge",
    unit: "s",
    description: "Median delay of the event loop since the last collection",
    attributes: {},
    services: EVERY,
  },
  "nodejs.eventloop.delay.p99": {
    kind: "gauge",
    unit: "s",
    description: "99th percentile of the event loop's delay since the last collection",
    attributes: {},
    services: EVERY,
  },
  "nodejs.eventloop.delay.max": {
    kind: "gauge",
    unit: "s",
    description: "Longest delay of the event loop since the last collection",
    attributes: {},
    services: EVERY,
  },
  "nodejs.eventloop.utilization": {
    kind: "gauge",
    unit: "1",
    description: "Share of the time since the last collection that the event loop was busy",
    attributes: {},
    services: EVERY,
  },
  "process.cpu.time": {
    kind: "counter",
    unit: "s",
    description: "Processor time that the process has used",
    attributes: { "cpu.mode": ["user", "system"] },
    services: EVERY,
  },
  "process.memory.usage": {
    kind: "gauge",
    unit: "By",
    description: "Physical memory that the process occupies",
    attributes: {},
    services: EVERY,
  },
  "process.start_time": {
    kind: "gauge",
    unit: "s",
    description: "When the process started: seconds since 1970",
    attributes: {},
    services: EVERY,
  },
} as const satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof METRICS;

export const METRIC_NAMES = Object.keys(METRICS) as MetricName[];

/** The definition of a metric, whichever it is. */
export function definitionOf(name: MetricName): MetricDefinition {
  return METRICS[name];
}
