import { type Verdict, verdicts } from "@chowhound/local/books";
import { createRandom } from "../faults/harness/random.ts";
import type { FaultKind } from "./fault-kind.ts";
import { kindsFor } from "./fault-kinds.ts";
import type { PlayedFault } from "./play-faults.ts";
import { tortureMesh } from "./torture-mesh.ts";

export interface TortureOptions {
  seed: number;
  /** It ends after the round in which one of these is reached. */
  maxMs: number;
  maxRounds: number;
  kinds: ReadonlyMap<string, FaultKind>;
  /** How many servers of NATS each mesh has; undefined: one mesh has one, the next one has a cluster. */
  natsServers?: NatsServers | undefined;
  /** True: logs and data stay also where nothing was found. */
  keepFiles: boolean;
  /** Aborted: ends after the round that is under way. */
  signal: AbortSignal;
  onLine: (line: string) => void;
}

export const NATS_SERVERS = [1, 3] as const;
export type NatsServers = (typeof NATS_SERVERS)[number];

/** What came of it. */
export interface TortureResult {
  seed: number;
  /** Empty: all is as it must be. */
  findings: string[];
  /** How many servers of NATS each mesh had. */
  meshes: number[];
  /** Rounds played; where there are findings, the last one is where they showed. */
  rounds: number;
  audits: number;
  /** Records accepted, by the producers' receipts. */
  accepted: number;
  failedCalls: number;
  /** What is in the books at the end of each mesh, together. */
  verdicts: Record<Verdict, number>;
  replayed: number;
  faults: PlayedFault[];
  /** The most memory a process had, in bytes, by its name. */
  maxRss: Record<string, number>;
  tookMs: number;
  /** Where logs and data are; undefined where they have been removed. */
  dataDirs: string[];
}

/** Rounds of faults under load on one mesh after the other, until time is up or something is found. */
export async function runTorture(options: TortureOptions): Promise<TortureResult> {
  const startedMs = performance.now();
  const result: TortureResult = {
    seed: options.seed,
    findings: [],
    meshes: [],
    rounds: 0,
    audits: 0,
    accepted: 0,
    failedCalls: 0,
    verdicts: Object.fromEntries(verdicts.map((each) => [each, 0])) as Record<Verdict, number>,
    replayed: 0,
    faults: [],
    maxRss: {},
    tookMs: 0,
    dataDirs: [],
  };
  const isOver = (): boolean =>
    options.signal.aborted ||
    result.findings.length > 0 ||
    result.rounds >= options.maxRounds ||
    performance.now() - startedMs >= options.maxMs;
  const turns = natsServersInTurn(options);
  do await tortureMesh(turns[result.meshes.length % turns.length]!, options, result, isOver);
  while (!isOver());
  result.tookMs = performance.now() - startedMs;
  return result;
}

/** In an order that the seed decides. Throws where no mesh can suffer any of the kinds. */
function natsServersInTurn({ seed, kinds, natsServers }: TortureOptions): NatsServers[] {
  const asked = natsServers === undefined ? NATS_SERVERS : [natsServers];
  return createRandom(seed).shuffle(asked.filter((count) => kindsFor(kinds, count).size > 0));
}
