import { setTimeout as sleep } from "node:timers/promises";
import { type Books, type Verdict, verdicts } from "@chowhound/local/books";
import { createDatabaseFaults } from "../faults/harness/database-faults.ts";
import { type FaultMesh, startFaultMesh } from "../faults/harness/fault-mesh.ts";
import { createFaults } from "../faults/harness/faults.ts";
import { Journal } from "../faults/harness/journal.ts";
import { judge, untilDrained } from "../faults/harness/judge.ts";
import { startLoad } from "../faults/harness/load.ts";
import type { FaultKind, Stage } from "./fault-kind.ts";
import { REPLICAS } from "./fault-kinds.ts";
import { createPipelines } from "./pipelines.ts";
import { planRound, type RoundPlan } from "./plan.ts";
import { type PlayedFault, playFaults } from "./play-faults.ts";
import { type ProcessWatch, watchProcesses } from "./process-watch.ts";
import { DETOURS, settle } from "./settle.ts";
import { ownerOfTakenUuid } from "./shape-record.ts";

export interface TortureOptions {
  seed: number;
  /** It ends after the round in which one of these is reached. */
  maxMs: number;
  maxRounds: number;
  kinds: ReadonlyMap<string, FaultKind>;
  /** True: logs and data stay also where nothing was found. */
  keepFiles: boolean;
  /** Aborted: ends after the round that is under way. */
  signal: AbortSignal;
  onLine: (line: string) => void;
}

/** What came of it. */
export interface TortureResult {
  seed: number;
  /** Empty: all is as it must be. */
  findings: string[];
  /** Rounds played; where there are findings, the last one is where they showed. */
  rounds: number;
  audits: number;
  /** Records accepted, by the producers' receipts. */
  accepted: number;
  failedCalls: number;
  verdicts: Record<Verdict, number>;
  replayed: number;
  faults: PlayedFault[];
  /** The most memory a process had, in bytes, by its name. */
  maxRss: Record<string, number>;
  tookMs: number;
  /** Where logs and data are; undefined where they have been removed. */
  dataDir: string | undefined;
}

/** After so many rounds all comes to rest, and is judged. */
const ROUNDS_PER_JUDGE = 3;

const settings = { CHOWHOUND_STREAM_MAX_BYTES: "16MiB" };
const variant = {
  replicas: REPLICAS,
  env: {
    gateway: settings,
    enricher: settings,
    dedup: settings,
    store: { ...settings, CHOWHOUND_STORE_KEEP_INVOICES: "20s" },
  },
};

/** Rounds of faults under load on one mesh and its data, until time is up or something is found. */
export async function runTorture(options: TortureOptions): Promise<TortureResult> {
  const startedMs = performance.now();
  const result: TortureResult = {
    seed: options.seed,
    findings: [],
    rounds: 0,
    audits: 0,
    accepted: 0,
    failedCalls: 0,
    verdicts: Object.fromEntries(verdicts.map((each) => [each, 0])) as Record<Verdict, number>,
    replayed: 0,
    faults: [],
    maxRss: {},
    tookMs: 0,
    dataDir: undefined,
  };
  const mesh = await startFaultMesh(variant);
  const watch = watchProcesses(mesh);
  try {
    await playRounds(mesh, watch, options, result);
  } catch (error) {
    result.findings.push((error as Error).stack ?? String(error));
    result.findings.push(...(await watch.findings().catch(() => [])));
  }
  watch.stop();
  result.accepted = mesh.ledger.accepted;
  result.failedCalls = mesh.ledger.failedCalls;
  result.maxRss = Object.fromEntries(watch.maxRss);
  const keepFiles = options.keepFiles || result.findings.length > 0;
  if (keepFiles) result.dataDir = mesh.dataDir;
  await mesh.remove({ keepFiles }).catch((error: Error) => {
    result.findings.push(`the mesh did not stop: ${error.message}`);
    result.dataDir = mesh.dataDir;
  });
  result.tookMs = performance.now() - startedMs;
  return result;
}

async function playRounds(
  mesh: FaultMesh,
  watch: ProcessWatch,
  { seed, maxMs, maxRounds, kinds, signal, onLine }: TortureOptions,
  result: TortureResult,
): Promise<void> {
  const startedMs = performance.now();
  const journal = new Journal(onLine);
  const pipelines = createPipelines(mesh);
  const stage: Stage = {
    mesh,
    pipelines,
    faults: createFaults(mesh, journal),
    database: createDatabaseFaults(mesh, journal),
    note: (text) => journal.note(text),
  };
  journal.note("the mesh is up");
  await Promise.all(mesh.producers.map((producer) => producer.send([ownerOfTakenUuid()])));
  await untilDrained(mesh);

  for (let isLast = false; !isLast; ) {
    const plan = planRound(seed, ++result.rounds, kinds);
    const { accepted } = mesh.ledger;
    journal.note(`round ${plan.number}: ${plan.loads.map(({ name }) => name).join(", ")}`);
    result.faults.push(...(await playRound(stage, plan)));
    journal.note(`round ${plan.number} is over: ${mesh.ledger.accepted - accepted} records accepted`);

    isLast = signal.aborted || result.rounds >= maxRounds || performance.now() - startedMs >= maxMs;
    if (!isLast && result.rounds % ROUNDS_PER_JUDGE !== 0) continue;
    await settle(mesh);
    const { problems, books } = await judge(mesh, { detours: DETOURS });
    result.audits++;
    result.verdicts = pickVerdicts(books);
    result.replayed = books.replayed;
    result.findings.push(...problems, ...(await pipelines.judge()), ...(await watch.findings()));
    journal.note(
      `judged: ${books.accepted} records in ${books.invoices} batches, ${result.findings.length} findings`,
    );
    if (result.findings.length > 0) return;
  }
}

async function playRound(stage: Stage, plan: RoundPlan): Promise<PlayedFault[]> {
  const loads = plan.loads.map((load) => startLoad(stage.mesh, load));
  const [faults] = await Promise.all([playFaults(stage, plan), sleep(plan.lengthMs)]);
  await Promise.all(loads.map((load) => load.finish()));
  return faults;
}

function pickVerdicts(books: Books): Record<Verdict, number> {
  return Object.fromEntries(verdicts.map((each) => [each, books[each]])) as Record<Verdict, number>;
}
