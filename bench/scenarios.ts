import type { Scenario } from "./scenario.ts";
import { batches } from "./scenarios/batches.ts";
import { books } from "./scenarios/books.ts";
import { builds } from "./scenarios/builds.ts";
import { calls } from "./scenarios/calls.ts";
import { dedupIndex } from "./scenarios/dedup-index.ts";
import { doors } from "./scenarios/doors.ts";
import { growth } from "./scenarios/growth.ts";
import { latency } from "./scenarios/latency.ts";
import { loads } from "./scenarios/loads.ts";
import { peers } from "./scenarios/peers.ts";
import { pieces } from "./scenarios/pieces.ts";
import { replicas } from "./scenarios/replicas.ts";
import { soak } from "./scenarios/soak.ts";
import { stalled } from "./scenarios/stalled.ts";
import { tenants } from "./scenarios/tenants.ts";
import { tracing } from "./scenarios/tracing.ts";

/** In the order in which they are played. */
export const SCENARIOS: readonly Scenario[] = [
  loads,
  doors,
  calls,
  latency,
  peers,
  pieces,
  dedupIndex,
  books,
  builds,
  tracing,
  batches,
  tenants,
  replicas,
  growth,
  stalled,
  soak,
];
