import type { DatabaseFaults } from "../faults/harness/database-faults.ts";
import type { FaultMesh, NatsServerName } from "../faults/harness/fault-mesh.ts";
import type { Faults } from "../faults/harness/faults.ts";
import type { Random } from "../faults/harness/random.ts";
import type { Pipelines } from "./pipelines.ts";
import type { ProcessWatch } from "./process-watch.ts";
import type { Rest } from "./rest.ts";
import type { Software } from "./software.ts";

/** What a fault is done with. */
export interface Stage {
  mesh: FaultMesh;
  faults: Faults;
  database: DatabaseFaults;
  pipelines: Pipelines;
  software: Software;
  watch: ProcessWatch;
  /** The last one. */
  rest: Rest;
  note(text: string): void;
}

/** One fault, with all that chance has to say about it. */
export interface PlannedFault {
  kind: string;
  /** For people: "kill store-2 after PostgreSQL has committed". */
  what: string;
  /** What it needs for itself: names of processes and others; faults that share one come one after the other. */
  uses: readonly string[];
  /** True: the database forgets whose a uuid is; whoever is the first then has it, so in this round nobody claims another's. */
  forgetsOwners?: boolean;
  /** Begins and ends it. Throws where something is wrong. */
  play(stage: Stage): Promise<void>;
}

/** Plans a fault of its kind, for a mesh with these servers of NATS. */
export type FaultKind = (
  kind: string,
  random: Random,
  natsServers: readonly NatsServerName[],
) => PlannedFault;

/** From a blink to more than twice the ack_wait and the statement timeout of these meshes. */
const MAX_LASTING_MS = 6_000;

/** How long a fault lasts. */
export function lasting(random: Random): number {
  return 200 + random.below(MAX_LASTING_MS);
}
