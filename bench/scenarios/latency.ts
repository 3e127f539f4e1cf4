import { auditBooks } from "@chowhound/local/audit";
import { openBooks } from "@chowhound/local/books";
import { encodeRequests } from "../generate-records.ts";
import { openIngest, openProducer } from "../load/grpc-producer.ts";
import { sendOnSchedule } from "../load/send-on-schedule.ts";
import { type Bench, measureLoad, rest, untilBooked } from "../measure-load.ts";
import { BrokenBooksError } from "../measurement.ts";
import { speed } from "../report/load-table.ts";
import { percentile } from "../report/percentile.ts";
import { figure, type Row, type Table } from "../report/table.ts";
import type { Scenario, ScenarioContext } from "../scenario.ts";
import { watchCommits } from "../watch-commits.ts";
import { withMesh } from "../with-mesh.ts";

/** Of the mesh's own maximum with the same calls, measured just before. */
const LEVELS = [0.1, 0.5, 0.8] as const;
const CALL_RECORDS = 50;
const WARM_UP_RECORDS = 20_000;
const SECONDS = { full: 20, quick: 4 };
const MAXIMUM_RECORDS = { full: 100_000, quick: 10_000 };
const SHARES = { p50: 0.5, p99: 0.99, "p99.9": 0.999 } as const;
/** From when a call was due to its receipt; from there until a reader sees the commit; both. */
const SPANS = { accept: "accept", commit: "accept→commit", whole: "both" } as const;
type Span = keyof typeof SPANS;

interface Level {
  /** Records a second that were due. */
  offered: number;
  calls: number;
  retries: number;
  /** Milliseconds: p50, p99, p99.9. */
  latencyMs: Record<Span, Record<keyof typeof SHARES, number>>;
}
interface Round {
  maximum: number;
  levels: Level[];
}

export const latency: Scenario = {
  name: "latency",
  isUsual: true,
  about: `each round has a fresh mesh, measures what it takes at most in calls of 50 records, 16 under way, then sends such calls by a
fixed schedule at 10, 50 and 80 % of that, and tells how long receipts and commits took from when a call was due`,
  run: async (context) => {
    const { quick, signal, profileDir, rounds: count = quick ? 1 : 3 } = context;
    const rounds: Round[] = [];
    for (let number = 1; number <= count; number++) {
      const label = `round-${number}-latency`;
      rounds.push(await withMesh({ profileDir, label, signal }, (mesh) => runRound(context, mesh)));
      context.log(`round ${number} of ${count}: at most ${Math.round(rounds.at(-1)!.maximum)} records/s`);
    }
    return { tables: [tableOf(rounds)], rounds };
  },
};

/** On a mesh that has no records yet. */
async function runRound(context: ScenarioContext, mesh: Bench["mesh"]): Promise<Round> {
  const { quick, signal, seconds = quick ? SECONDS.quick : SECONDS.full } = context;
  const { records = quick ? MAXIMUM_RECORDS.quick : MAXIMUM_RECORDS.full } = context;
  const keeper = await openBooks(mesh.endpoints.postgresUrl);
  const producer = await openProducer(mesh.endpoints);
  const bench: Bench = { mesh, keeper, producer, signal };
  let first = 0;
  const encode = (count: number): Uint8Array[] => {
    first += count;
    return encodeRequests({ first: first - count, count, revision: 0 }, CALL_RECORDS);
  };
  try {
    await measureLoad(bench, encode(WARM_UP_RECORDS), WARM_UP_RECORDS, ["stored"]);
    const maximum = speed(await measureLoad(bench, encode(records), records, ["stored"]));
    const levels: Level[] = [];
    for (const level of LEVELS) {
      const offered = maximum * level;
      const calls = encode(Math.ceil((offered * seconds) / CALL_RECORDS) * CALL_RECORDS);
      levels.push(await measureLevel(bench, calls, offered));
    }
    return { maximum, levels };
  } finally {
    producer.close();
    await keeper.close();
  }
}

async function measureLevel(bench: Bench, requests: readonly Uint8Array[], offered: number): Promise<Level> {
  const { mesh, keeper, signal } = bench;
  const { endpoints } = mesh;
  await rest(keeper, signal);
  const before = await keeper.read();
  const commits = await watchCommits(endpoints.postgresUrl);
  const { ingest, close } = await openIngest({ grpc: endpoints.grpc, keys: [endpoints.key] });
  try {
    const callsPerSecond = offered / CALL_RECORDS;
    const { calls, receipts } = await sendOnSchedule(ingest, requests, { callsPerSecond, signal });
    await untilBooked(bench, before.accepted + receipts.accepted);
    const seenAt = await commits.seenAt(calls.map(({ receiptId }) => receiptId));
    const problems = await auditBooks(endpoints.admin.store!, before.accepted + receipts.accepted);
    if (problems.length > 0) throw new BrokenBooksError(problems.join("\n"));

    const commitMs = (receiptId: string): number => seenAt.get(receiptId)!;
    const spans: Record<Span, number[]> = {
      accept: calls.map(({ intendedMs, answeredMs }) => answeredMs - intendedMs),
      // A reader may see a commit before the producer has read its receipt.
      commit: calls.map(({ answeredMs, receiptId }) => Math.max(0, commitMs(receiptId) - answeredMs)),
      whole: calls.map(({ intendedMs, receiptId }) => commitMs(receiptId) - intendedMs),
    };
    const latencyMs = Object.fromEntries(
      Object.entries(spans).map(([span, values]) => [
        span,
        Object.fromEntries(Object.entries(SHARES).map(([name, share]) => [name, percentile(values, share)])),
      ]),
    ) as Level["latencyMs"];
    return { offered, calls: calls.length, retries: receipts.retries, latencyMs };
  } finally {
    close();
    await commits.stop();
  }
}

function tableOf(rounds: readonly Round[]): Table {
  const row = (title: string, decimals: number, value: (level: Level) => number, chart?: string): Row => ({
    title,
    decimals,
    cells: LEVELS.map((_, i) => figure(rounds.map(({ levels }) => value(levels[i]!)))),
    ...(chart !== undefined && { chart }),
  });
  return {
    name: "latency",
    columns: LEVELS.map((level) => `at ${level * 100} %`),
    rows: [
      row("records/s that were due", 0, ({ offered }) => offered),
      row("calls of 50", 0, ({ calls }) => calls),
      row("calls sent again", 0, ({ retries }) => retries),
      ...(Object.keys(SPANS) as Span[]).flatMap((span) =>
        (Object.keys(SHARES) as (keyof typeof SHARES)[]).map((share) =>
          row(
            `${SPANS[span]}, ${share}, ms`,
            1,
            ({ latencyMs }) => latencyMs[span][share],
            span !== "whole" && share === "p99" ? `${SPANS[span]}, ${share}, ms` : undefined,
          ),
        ),
      ),
    ],
  };
}
