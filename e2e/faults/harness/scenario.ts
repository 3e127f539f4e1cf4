import type { DatabaseFaults } from "./database-faults.ts";
import type { FaultMesh, MeshVariant } from "./fault-mesh.ts";
import type { Faults } from "./faults.ts";
import type { Load, LoadOptions } from "./load.ts";
import type { Random } from "./random.ts";

/** One way in which things go wrong. After it, the judge looks whether all that was accepted is where it belongs. */
export interface Scenario {
  /** What goes wrong, as in "the store is killed at every point of its work". */
  title: string;
  /** Part of the default tests: done in seconds. */
  isFast?: boolean;
  /** It kills nats-server: one that is older than 2.11 is known to lose or stall data then. */
  killsNats?: boolean;
  /** It runs the software as it was then. */
  needsCommit?: string;
  /** Scenarios with the same one share a mesh; without it they share the usual one. */
  mesh?: MeshVariant;
  /** Reasons for which good records die in it, until it replays them. It must have a mesh of its own then. */
  detours?: readonly string[];
  run(story: Story): Promise<void>;
}

/** What a scenario is told with. */
export interface Story {
  mesh: FaultMesh;
  faults: Faults;
  database: DatabaseFaults;
  random: Random;
  /** True: all of it, not only what is done in seconds. */
  isFull: boolean;
  note(text: string): void;
  /** The same for a fault of the scenario's own. */
  fault(text: string): void;
  /** Does something while producers are at work, who then bring to an end what they have begun. */
  underLoad(disturb: (load: Load) => Promise<void>, options?: Partial<LoadOptions>): Promise<void>;
  /**
   * Sends a record and waits until it is a row: the mesh works from end to end. The time that takes, measured from the call,
   * is the recovery time of the fault that has just ended.
   */
  recovered(): Promise<void>;
}
