import { setTimeout as sleep } from "node:timers/promises";
import { verdicts } from "@chowhound/local/books";
import { createDatabaseFaults } from "../faults/harness/database-faults.ts";
import { type FaultMesh, type MeshVariant, startFaultMesh } from "../faults/harness/fault-mesh.ts";
import { createFaults } from "../faults/harness/faults.ts";
import { Journal } from "../faults/harness/journal.ts";
import { judge, untilDrained } from "../faults/harness/judge.ts";
import { startLoad } from "../faults/harness/load.ts";
import type { Stage } from "./fault-kind.ts";
import { REPLICAS } from "./fault-kinds.ts";
import { ENRICHER_HEAP_MIB } from "./killer-kind.ts";
import { sendOwners } from "./owners.ts";
import { createPipelines } from "./pipelines.ts";
import { planRound, type RoundPlan } from "./plan.ts";
import { type PlayedFault, playFaults } from "./play-faults.ts";
import { type ProcessWatch, watchProcesses } from "./process-watch.ts";
import { takeRest } from "./rest.ts";
import type { NatsServers, TortureOptions, TortureResult } from "./run-torture.ts";
import { DETOURS, settle } from "./settle.ts";
import { createSoftware, type Software } from "./software.ts";

/** After so many rounds all comes to rest, and is judged. */
const ROUNDS_PER_JUDGE = 3;
/** So many rounds are played on the same data. */
const ROUNDS_PER_MESH = 24;

const settings = { CHOWHOUND_STREAM_MAX_BYTES: "16MiB" };
const variant = (natsServers: NatsServers, software: Software): MeshVariant => ({
  natsServers,
  software: software.of,
  replicas: REPLICAS,
  env: {
    gateway: settings,
    enricher: { ...settings, NODE_OPTIONS: `--max-old-space-size=${ENRICHER_HEAP_MIB}` },
    dedup: settings,
    store: { ...settings, CHOWHOUND_STORE_KEEP_INVOICES: "20s" },
  },
});

/** Rounds on one mesh and its data; all that is seen is added to the result. */
export async function tortureMesh(
  natsServers: NatsServers,
  options: TortureOptions,
  result: TortureResult,
  isOver: () => boolean,
): Promise<void> {
  const { findings } = result;
  const software = createSoftware();
  const mesh = await startFaultMesh(variant(natsServers, software));
  const watch = watchProcesses(mesh);
  result.meshes.push(natsServers);
  try {
    await playRounds(mesh, { watch, software }, options, result, isOver);
  } catch (error) {
    findings.push((error as Error).stack ?? String(error), ...(await watch.findings().catch(() => [])));
  }
  watch.stop();
  result.accepted += mesh.ledger.everAccepted;
  result.failedCalls += mesh.ledger.failedCalls;
  for (const [name, bytes] of watch.maxRss) result.maxRss[name] = Math.max(bytes, result.maxRss[name] ?? 0);
  let keepFiles = options.keepFiles || findings.length > 0;
  await mesh.remove({ keepFiles }).catch((error: Error) => {
    findings.push(`the mesh did not stop: ${error.message}`);
    keepFiles = true;
  });
  if (keepFiles) result.dataDirs.push(mesh.dataDir);
}

async function playRounds(
  mesh: FaultMesh,
  { watch, software }: { watch: ProcessWatch; software: Software },
  { seed, kinds, onLine }: TortureOptions,
  result: TortureResult,
  isOver: () => boolean,
): Promise<void> {
  const journal = new Journal(onLine);
  const pipelines = createPipelines(mesh);
  const nothing = mesh.ledger.snapshot();
  journal.note(`mesh ${result.meshes.length} is up, with ${describeNats(mesh)}`);
  await sendOwners(mesh);
  await untilDrained(mesh);
  const stage: Stage = {
    mesh,
    pipelines,
    software,
    watch,
    faults: createFaults(mesh, journal),
    database: createDatabaseFaults(mesh, journal),
    rest: await takeRest(mesh, nothing),
    note: (text) => journal.note(text),
  };

  for (let round = 1, isLast = false; !isLast; round++) {
    const plan = planRound(seed, ++result.rounds, kinds, mesh.natsServers);
    const { everAccepted } = mesh.ledger;
    journal.note(`round ${plan.number}: ${plan.loads.map(({ name }) => name).join(", ")}`);
    result.faults.push(...(await playRound(stage, plan)));
    journal.note(`round ${plan.number} is over: ${mesh.ledger.everAccepted - everAccepted} records accepted`);

    isLast = isOver() || round === ROUNDS_PER_MESH;
    if (!isLast && round % ROUNDS_PER_JUDGE !== 0) continue;
    await settle(mesh);
    const { problems, books } = await judge(mesh, { detours: DETOURS });
    result.audits++;
    result.findings.push(...problems, ...(await pipelines.judge()), ...(await watch.findings()));
    journal.note(
      `judged: ${books.accepted} records in ${books.invoices} batches, ${result.findings.length} findings`,
    );
    if (isLast || result.findings.length > 0) {
      for (const each of verdicts) result.verdicts[each] += books[each];
      result.replayed += books.replayed;
      return;
    }
    stage.rest = await takeRest(mesh, nothing);
  }
}

async function playRound(stage: Stage, plan: RoundPlan): Promise<PlayedFault[]> {
  if (plan.isWithoutUsurpers) await untilDrained(stage.mesh);
  const loads = plan.loads.map((load) => startLoad(stage.mesh, load));
  stage.rest.loads.push(...loads);
  const [faults] = await Promise.all([playFaults(stage, plan), sleep(plan.lengthMs)]);
  await Promise.all(loads.map((load) => load.finish()));
  return faults;
}

function describeNats({ natsServers }: FaultMesh): string {
  return natsServers.length === 1
    ? "one NATS server"
    : `a cluster of ${natsServers.length} NATS servers, and as many copies of each stream`;
}
