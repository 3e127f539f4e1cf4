import type { Scenario } from "./scenario.ts";
import { calls } from "./scenarios/calls.ts";
import { doors } from "./scenarios/doors.ts";
import { latency } from "./scenarios/latency.ts";
import { loads } from "./scenarios/loads.ts";
import { pieces } from "./scenarios/pieces.ts";
import { tracing } from "./scenarios/tracing.ts";

/** In the order in which they are played. */
export const SCENARIOS: readonly Scenario[] = [loads, doors, calls, latency, tracing, pieces];
