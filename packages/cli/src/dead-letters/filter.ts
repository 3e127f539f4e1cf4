import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type DeadLetterFilterSchema,
  DeadLetterState,
} from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import type { Argv } from "yargs";
import type { Cli } from "../command.ts";
import { parseTime } from "../parse-time.ts";
import { timestampOf } from "../proto-time.ts";
import { openDeadLetters } from "./calls.ts";

export type Filter = MessageInitShape<typeof DeadLetterFilterSchema>;

const GROUP = "Which dead letters:";

/** Declares what `readFilter` reads. */
export function filterOptions<T>(yargs: Argv<T>) {
  const text = (describe: string) => ({ group: GROUP, type: "string", requiresArg: true, describe }) as const;
  return yargs
    .option("tenant", text("Only of this tenant"))
    .option("source-type", text("Only of this kind of source"))
    .option("source-id", text("Only of this source"))
    .option("stage", {
      ...text("Only those that this stage gave up"),
      choices: ["enricher", "store"] as const,
    })
    .option("reason", text("Only those that died of this, such as required_field_missing"))
    .option("since", text("Only those that died, the last time, since: 15m, 2h, 1d ago, or a time"))
    .option("before", text("Only those that died, the last time, before"));
}

export interface FilterArguments {
  tenant?: string | undefined;
  sourceType?: string | undefined;
  sourceId?: string | undefined;
  stage?: string | undefined;
  reason?: string | undefined;
  since?: string | undefined;
  before?: string | undefined;
}

/** @returns undefined where nothing is asked for */
export function readFilter(args: FilterArguments): Filter | undefined {
  const { tenant, sourceType, sourceId, stage, reason, since, before } = args;
  const filter: Filter = {
    ...(tenant !== undefined && { tenantId: tenant }),
    ...(sourceType !== undefined && { sourceType }),
    ...(sourceId !== undefined && { sourceId }),
    ...(stage !== undefined && { stage }),
    ...(reason !== undefined && { reason }),
    ...(since !== undefined && { since: timestampOf(parseTime(since, "--since")) }),
    ...(before !== undefined && { before: timestampOf(parseTime(before, "--before")) }),
  };
  return Object.keys(filter).length === 0 ? undefined : filter;
}

const STATES = {
  open: DeadLetterState.OPEN,
  resolved: DeadLetterState.RESOLVED,
  discarded: DeadLetterState.DISCARDED,
} as const;

/** Declares what `readState` reads. */
export function stateOption<T>(yargs: Argv<T>) {
  return yargs.option("state", {
    group: GROUP,
    choices: Object.keys(STATES) as (keyof typeof STATES)[],
    default: "open" as keyof typeof STATES,
    describe: "Those that wait, were landed by a replay, or were given up",
  });
}

export function readState({ state }: { state: keyof typeof STATES }): DeadLetterState {
  return STATES[state];
}

/** "open", "resolved" or "discarded". */
export function stateName(state: DeadLetterState): string {
  return Object.entries(STATES).find(([, value]) => value === state)?.[0] ?? `state ${state}`;
}

/** What there is to give to an option of `filterOptions`, by the open letters. */
export async function completeFilter(option: string, { mesh }: Cli): Promise<string[]> {
  const call = await openDeadLetters(mesh);
  const { groups } = await call((client) => client.summarizeDeadLetters({}));
  switch (option) {
    case "--tenant":
      return groups.map(({ tenantId }) => tenantId);
    case "--source-type":
      return groups.map(({ sourceType }) => sourceType);
    case "--reason":
      return groups.map(({ reason }) => reason);
    default:
      return [];
  }
}
