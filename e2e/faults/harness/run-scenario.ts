import { type Books, type Verdict, verdicts } from "@chowhound/local/books";
import { createDatabaseFaults } from "./database-faults.ts";
import { type FaultMesh, startFaultMesh } from "./fault-mesh.ts";
import { createFaults } from "./faults.ts";
import { Journal } from "./journal.ts";
import { judge } from "./judge.ts";
import { startLoad } from "./load.ts";
import { probe } from "./probe.ts";
import { createRandom } from "./random.ts";
import type { Scenario, Story } from "./scenario.ts";

export interface ScenarioResult {
  /** The file's name: "1-kill-points-of-the-store". */
  name: string;
  title: string;
  /** What is not as it must be; empty: passed. */
  problems: string[];
  /** What was done, line by line, with times. */
  journal: readonly string[];
  faults: number;
  /** Records that receipts accepted in this scenario. */
  records: number;
  /** Calls that got no receipt, and were made again. */
  failedCalls: number;
  /** The longest from the end of a fault to a new record in the table; undefined where none was measured. */
  recoveryMs: number | undefined;
  verdicts: Record<Verdict, number>;
  tookMs: number;
}

/** Plays scenarios one after the other, those of one kind of mesh on the same one for as long as all goes well. */
export class ScenarioRunner {
  readonly #options: { seed: number; isFull: boolean; onLine?: (line: string) => void };
  #stage: { mesh: FaultMesh; variant: Scenario["mesh"] } | undefined;
  #played = 0;

  constructor(options: { seed: number; isFull: boolean; onLine?: (line: string) => void }) {
    this.#options = options;
  }

  async run(name: string, scenario: Scenario): Promise<ScenarioResult> {
    const startedMs = performance.now();
    const journal = new Journal(this.#options.onLine);
    const result: ScenarioResult = {
      name,
      title: scenario.title,
      problems: [],
      journal: journal.lines,
      faults: 0,
      records: 0,
      failedCalls: 0,
      recoveryMs: undefined,
      verdicts: subtract(undefined, undefined),
      tookMs: 0,
    };
    try {
      const mesh = await this.#meshFor(scenario);
      journal.note("the mesh is up");
      const { accepted, failedCalls } = mesh.ledger;
      const before = await mesh.withBooks((books) => books.read());
      const onRecovery = (tookMs: number): void => {
        result.recoveryMs = Math.max(tookMs, result.recoveryMs ?? 0);
      };
      await scenario.run(this.#createStory(mesh, journal, onRecovery));
      journal.note("judging");
      const judgement = await judge(mesh, scenario);
      result.problems.push(...judgement.problems);
      result.verdicts = subtract(judgement.books, before);
      result.records = mesh.ledger.accepted - accepted;
      result.failedCalls = mesh.ledger.failedCalls - failedCalls;
    } catch (error) {
      result.problems.push((error as Error).stack ?? String(error));
    }
    if (result.problems.length > 0) {
      if (this.#stage !== undefined)
        result.problems.push(`logs and data are kept in ${this.#stage.mesh.dataDir}`);
      await this.#leave({ keepFiles: true }).catch(() => {});
    }
    result.faults = journal.faults;
    result.tookMs = performance.now() - startedMs;
    return result;
  }

  async close(): Promise<void> {
    await this.#leave();
  }

  async #meshFor(scenario: Scenario): Promise<FaultMesh> {
    if (this.#stage !== undefined && this.#stage.variant !== scenario.mesh) await this.#leave();
    this.#stage ??= { mesh: await startFaultMesh(scenario.mesh), variant: scenario.mesh };
    return this.#stage.mesh;
  }

  async #leave(options?: { keepFiles?: boolean }): Promise<void> {
    const stage = this.#stage;
    this.#stage = undefined;
    await stage?.mesh.remove(options);
  }

  #createStory(mesh: FaultMesh, journal: Journal, onRecovery: (tookMs: number) => void): Story {
    const number = ++this.#played;
    const seed = this.#options.seed + number;
    let loads = 0;
    let probes = 0;
    return {
      mesh,
      faults: createFaults(mesh, journal),
      database: createDatabaseFaults(mesh, journal),
      random: createRandom(seed),
      isFull: this.#options.isFull,
      note: (text) => journal.note(text),
      fault: (text) => journal.fault(text),
      async underLoad(disturb, options) {
        const load = startLoad(mesh, { name: `load-${number}-${++loads}`, seed: seed + loads, ...options });
        await load.untilAccepted(100);
        await disturb(load);
        await load.finish();
      },
      async recovered() {
        const dataId = `probe-${number}-${++probes}`;
        const tookMs = await probe(mesh, dataId);
        onRecovery(tookMs);
        journal.note(`${dataId} is a row after ${Math.round(tookMs)} ms`);
      },
    };
  }
}

function subtract(after: Books | undefined, before: Books | undefined): Record<Verdict, number> {
  const counts = verdicts.map((each) => [each, (after?.[each] ?? 0) - (before?.[each] ?? 0)]);
  return Object.fromEntries(counts) as Record<Verdict, number>;
}
