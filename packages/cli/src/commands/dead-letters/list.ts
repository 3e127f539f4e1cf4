import {
  type DeadLetter,
  DeadLetterSchema,
} from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import { checkCount } from "../../check-count.ts";
import { type Cli, defineCommand } from "../../command.ts";
import { openDeadLetters } from "../../dead-letters/calls.ts";
import {
  completeFilter,
  filterOptions,
  readFilter,
  readState,
  stateOption,
} from "../../dead-letters/filter.ts";
import { readMatching } from "../../dead-letters/read-letters.ts";
import { formatCount } from "../../output/format.ts";
import { protoJson } from "../../output/proto-json.ts";
import { formatTimestamp } from "../../proto-time.ts";

const DEFAULT_LIMIT = 100;

export const command = defineCommand({
  options: (yargs) =>
    stateOption(filterOptions(yargs))
      .option("limit", {
        type: "number",
        requiresArg: true,
        describe: `At most so many letters [default: ${DEFAULT_LIMIT}]`,
      })
      .option("all", { type: "boolean", conflicts: "limit", describe: "All that match, page by page" }),
  examples: [
    ["chow dead-letters list --reason map_failed", "Those accepted first at the top"],
    ["chow dead-letters list --all --json | jq -r .detail | sort | uniq -c", "One letter per line"],
    ["chow dead-letters list --state discarded", "What was given up, by whom and why"],
  ],
  completeOption: completeFilter,
  run: async (args, cli) => {
    const limit = args.all ? Number.POSITIVE_INFINITY : checkCount(args.limit ?? DEFAULT_LIMIT, "--limit");
    const call = await openDeadLetters(cli.mesh);
    const selection = { filter: readFilter(args) ?? {}, state: readState(args), limit };
    let count = 0;
    let isMore = false;
    for await (const { letters, hasMore } of readMatching(call, selection)) {
      if (cli.out.json)
        for (const letter of letters) await cli.out.event(protoJson(DeadLetterSchema, letter));
      else if (letters.length > 0) await showTable(cli, letters);
      count += letters.length;
      isMore = hasMore;
      if (cli.signal.aborted) return;
    }
    if (count === 0 && !cli.out.json) cli.out.note(`No dead letter is ${args.state}.`);
    if (isMore)
      cli.out.note(`chow: these are the first ${formatCount(count)}; there are more: --limit N or --all`);
  },
});

async function showTable({ out }: Cli, letters: readonly DeadLetter[]): Promise<void> {
  await out.table(
    [
      { title: "ID" },
      { title: "TENANT" },
      { title: "SOURCE" },
      { title: "DATA_ID" },
      { title: "LAST DIED" },
      { title: "DIED", align: "right" },
      { title: "REASON" },
      { title: "SETTLED" },
      { title: "DETAIL" },
    ],
    letters.map((letter) => [
      letter.id,
      letter.tenantId,
      letter.sourceType === "" ? "" : `${letter.sourceType}/${letter.sourceId}`,
      letter.dataId,
      formatTimestamp(letter.lastSeen),
      `${letter.attempts}×`,
      { text: letter.reason, style: "red" },
      describeEnd(letter),
      letter.detail,
    ]),
  );
}

/** What became of a letter; "" while it is open. */
function describeEnd({ verdict, discardedBy, note }: DeadLetter): string {
  return verdict !== "" ? verdict : discardedBy === "" ? "" : `by ${discardedBy}: ${note}`;
}
