import { SummarizeDeadLettersResponseSchema } from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import { defineCommand } from "../../command.ts";
import { openDeadLetters } from "../../dead-letters/calls.ts";
import {
  completeFilter,
  filterOptions,
  readFilter,
  readState,
  stateOption,
} from "../../dead-letters/filter.ts";
import { formatCount } from "../../output/format.ts";
import { protoJson } from "../../output/proto-json.ts";
import { formatTimestamp } from "../../proto-time.ts";

export const command = defineCommand({
  options: (yargs) => stateOption(filterOptions(yargs)),
  examples: [
    ["chow dead-letters", "What is wrong, and how much of it"],
    ["chow dead-letters summary --since 1h --json", "What has died of late, for a program"],
  ],
  completeOption: completeFilter,
  run: async (args, cli) => {
    const call = await openDeadLetters(cli.mesh);
    const filter = readFilter(args) ?? {};
    const summary = await call((client) => client.summarizeDeadLetters({ filter, state: readState(args) }));
    if (cli.out.json) {
      await cli.out.document(protoJson(SummarizeDeadLettersResponseSchema, summary));
      return;
    }
    if (summary.groups.length === 0) {
      cli.out.note(`No dead letter is ${args.state}.`);
      return;
    }
    await cli.out.table(
      [
        { title: "LETTERS", align: "right" },
        { title: "TENANT" },
        { title: "SOURCE_TYPE" },
        { title: "STAGE" },
        { title: "REASON" },
        { title: "PIPELINE" },
        { title: "FIRST DIED" },
        { title: "LAST DIED" },
      ],
      summary.groups.map((group) => [
        formatCount(group.count),
        group.tenantId,
        group.sourceType,
        group.stage,
        { text: group.reason, style: "red" },
        group.pipelineVersion === 0n ? "" : String(group.pipelineVersion),
        formatTimestamp(group.firstSeen),
        formatTimestamp(group.lastSeen),
      ]),
    );
  },
});
