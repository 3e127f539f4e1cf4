import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RecordStatus } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { auditMesh, problemsOf } from "../audit.ts";
import { type BookKeeper, type Books, openBooks } from "../books.ts";
import { createGrpcClient } from "../grpc-client.ts";
import type { Mesh } from "../mesh.ts";
import { findInstalledPackages, type InstalledPackage } from "./installed-packages.ts";
import { startLiveProgress } from "./live-progress.ts";
import {
  borrowedUuidRecord,
  changedRecord,
  lateRecord,
  packageRecord,
  recordsForNobody,
  recordWithoutVersion,
} from "./package-records.ts";
import { createProducer, inBatches, isAccepted, type Producer } from "./producer.ts";
import { checkRows, showAudit, showBooks, showDeadLetters, showRows } from "./report.ts";

interface Stage {
  mesh: Mesh;
  producer: Producer;
  keeper: BookKeeper;
  signal: AbortSignal;
  print: (line: string) => void;
}

const minimumPackages = 20;

/**
 * The story of the demo, on a fresh mesh: real packages as records, pushed the way real producers push. Returns what
 * is wrong with the result: nothing, one hopes. Prints nothing more once `signal` is aborted, and gives up soon.
 *
 * @param root the checkout whose node_modules are pushed
 */
export async function runDemo(
  mesh: Mesh,
  { root, signal, output }: { root: string; signal: AbortSignal; output: NodeJS.WriteStream },
): Promise<string[]> {
  const print = (line: string): void => void (signal.aborted || output.write(`${line}\n`));
  const packages = await findInstalledPackages(root);
  if (packages.length < minimumPackages) {
    throw new Error(
      `only ${packages.length} packages are installed below ${join(root, "node_modules")}: run npm install`,
    );
  }
  const producer = createProducer(mesh.endpoints.grpc, mesh.endpoints.key);
  const keeper = await openBooks(mesh.endpoints.postgresUrl);
  const progress = (): { stop(): Promise<void> } =>
    startLiveProgress({ admin: mesh.endpoints.admin, counts: producer.counts, signal, output });
  const stage = { mesh, producer, keeper, signal, print };
  try {
    await applyPipeline(stage);

    print(
      `\nPushing ${packages.length} packages from node_modules; some answers get lost, so those are pushed again`,
    );
    let live = progress();
    const { expected, lentUuid, refusals } = await pushEverything(stage, packages).finally(() => live.stop());
    for (const { reason, message } of refusals) print(`  rejected at the door: ${reason}: ${message}`);

    print("\nSome packages change, some messages were long under way, one borrows a uuid");
    live = progress();
    await pushChanges(stage, packages, lentUuid, expected).finally(() => live.stop());

    print("\nThe producer has lost its memory and pushes everything once more");
    live = progress();
    const before = await keeper.read();
    const after = await pushAgain(stage, packages, expected).finally(() => live.stop());
    print(
      `\n  ${after.accepted - before.accepted} records pushed again: ${after.duplicate - before.duplicate} dropped before the database`,
    );

    print(`\n${showBooks(after, producer.counts.rejected)}`);
    print(`\n${await showRows(keeper)}`);
    print(`\n${await showDeadLetters(keeper)}`);
    const report = await auditMesh(mesh.endpoints.admin.store!);
    print(`\n${showAudit(report)}`);
    return [
      ...problemsOf(report, producer.counts.accepted),
      ...checkVerdicts(after, expected),
      ...(await checkRows(keeper, expected.updated)),
    ];
  } finally {
    producer.close();
    await keeper.close();
  }
}

/** What the books must say in the end, whatever the timing. Records sent twice may be found out by dedup or the store. */
interface ExpectedVerdicts {
  stored: number;
  updated: number;
  /** Of those that were late, not counting repetitions. */
  late: number;
  conflict: number;
  deadLettered: number;
  repeated: number;
}

async function applyPipeline({ mesh, print }: Stage): Promise<void> {
  const admin = createGrpcClient(PipelineService, mesh.endpoints.admin.enricher!);
  const definition = await readFile(join(import.meta.dirname, "npm-package.pipeline.yaml"), "utf8");
  const { pipeline } = await admin.calls.applyPipeline({ definition });
  admin.close();
  print(
    `\nPipeline for ${pipeline?.sourceType} in force, version ${pipeline?.version}: ${pipeline?.description}`,
  );
}

/** Every second batch as a call of its own, the others on one stream. Of every fourth, the answer gets lost. */
async function pushEverything(
  { producer, keeper, signal }: Stage,
  packages: readonly InstalledPackage[],
): Promise<{ expected: ExpectedVerdicts; lentUuid: string; refusals: RecordStatus[] }> {
  const batches = inBatches(packages.map((installed) => packageRecord(installed)));
  const lost = batches.filter((_, i) => i % 4 === 1);
  const answers: RecordStatus[][] = [];
  for (const [i, batch] of batches.entries()) if (i % 2 === 0) answers.push(await producer.push(batch));
  answers.push(...(await producer.pushStream(batches.filter((_, i) => i % 2 === 1))));
  for (const batch of lost) answers.push(await producer.push(batch));
  expectAllAccepted(answers.flat());

  const [first] = packages as [InstalledPackage];
  const oddities = await producer.push([...recordsForNobody(first), recordWithoutVersion(first)]);
  await keeper.untilBooked(producer.counts.accepted, signal);
  return {
    refusals: oddities.filter((status) => !isAccepted(status)),
    // The first batch was not pushed twice: its uuids are those of the rows.
    lentUuid: answers[0]![0]!.uuid,
    expected: {
      stored: packages.length,
      updated: 0,
      late: 0,
      conflict: 0,
      deadLettered: 1,
      repeated: lost.flat().length,
    },
  };
}

async function pushChanges(
  { producer, keeper, signal }: Stage,
  packages: readonly InstalledPackage[],
  lentUuid: string,
  expected: ExpectedVerdicts,
): Promise<void> {
  const changed = packages.filter((_, i) => i % 10 === 3);
  const late = packages.filter((_, i) => i % 10 === 6);
  const records = [
    ...changed.map(changedRecord),
    ...late.map(lateRecord),
    borrowedUuidRecord(packages[0]!, lentUuid),
  ];
  expectAllAccepted((await producer.pushStream(inBatches(records))).flat());
  expected.updated += changed.length;
  expected.late += late.length;
  expected.conflict += 1;
  await keeper.untilBooked(producer.counts.accepted, signal);
}

async function pushAgain(
  { producer, keeper, signal }: Stage,
  packages: readonly InstalledPackage[],
  expected: ExpectedVerdicts,
): Promise<Books> {
  const answers = await producer.pushStream(inBatches(packages.map((installed) => packageRecord(installed))));
  expectAllAccepted(answers.flat());
  expected.repeated += packages.length;
  return keeper.untilBooked(producer.counts.accepted, signal);
}

function expectAllAccepted(statuses: readonly RecordStatus[]): void {
  const refused = statuses.find((status) => !isAccepted(status));
  if (refused) throw new Error(`a package was rejected: ${refused.reason}: ${refused.message}`);
}

function checkVerdicts(books: Books, expected: ExpectedVerdicts): string[] {
  const pairs: [string, number, number][] = [
    ["stored", books.stored, expected.stored],
    ["updated", books.updated, expected.updated],
    ["conflict", books.conflict, expected.conflict],
    ["dead_lettered", books.dead_lettered, expected.deadLettered],
    [
      "duplicate, unchanged and stale",
      books.duplicate + books.unchanged + books.stale,
      expected.repeated + expected.late,
    ],
  ];
  const problems = pairs
    .filter(([, actual, wanted]) => actual !== wanted)
    .map(([what, actual, wanted]) => `${what}: ${actual}, expected ${wanted}`);
  if (books.duplicate === 0) problems.push("duplicate: 0, dedup has not spared the database anything");
  return problems;
}
