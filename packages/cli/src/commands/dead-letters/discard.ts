import { hostname, userInfo } from "node:os";
import { CliError, UsageError } from "../../cli-error.ts";
import { defineCommand } from "../../command.ts";
import { canAsk, confirm } from "../../confirm.ts";
import { openDeadLetters } from "../../dead-letters/calls.ts";
import { describeCounts } from "../../dead-letters/counts.ts";
import { completeFilter } from "../../dead-letters/filter.ts";
import { findOpen } from "../../dead-letters/find-open.ts";
import { inPages } from "../../dead-letters/read-letters.ts";
import { readSelection, selectionOptions } from "../../dead-letters/selection.ts";
import { EXIT } from "../../exit-codes.ts";
import { formatCount } from "../../output/format.ts";

export const command = defineCommand({
  options: (yargs) =>
    selectionOptions(yargs)
      .option("note", {
        type: "string",
        requiresArg: true,
        demandOption: true,
        describe: "Why; kept with the letters",
      })
      .option("by", {
        type: "string",
        requiresArg: true,
        describe: "Who does it; kept with the letters [default: your account, USER@HOST]",
      })
      .option("yes", { alias: "y", type: "boolean", describe: "Don't ask first" }),
  examples: [
    ["chow dead-letters discard --source-id test-rig --note 'rig was miswired'", "All of one source"],
  ],
  completeOption: completeFilter,
  run: async (args, cli) => {
    const selection = readSelection(args);
    if (args.yes !== true && !canAsk(cli))
      throw new UsageError("nobody can be asked here; give --yes to discard without a question");
    const { note, by = `${userInfo().username}@${hostname()}` } = args;
    const call = await openDeadLetters(cli.mesh);
    const { open, skipped } = await findOpen(call, selection);
    const letters = open.size === 1 ? "1 dead letter" : `${formatCount(open.size)} dead letters`;
    if (open.size > 0 && args.yes !== true) {
      if (!(await confirm(cli, `Discard ${letters}? They are kept, and never replayed again.`)))
        throw new CliError("nothing was discarded");
    }
    let discarded = 0n;
    for (const ids of inPages([...open.keys()])) {
      const request = { selection: { by: { case: "ids", value: { ids } } }, note, discardedBy: by } as const;
      discarded += (await call((client) => client.discardDeadLetters(request))).discarded;
    }
    if (cli.out.json)
      await cli.out.document({ discarded: Number(discarded), skipped: Object.fromEntries(skipped) });
    else if (open.size === 0 && skipped.size === 0) cli.out.note("No open dead letter matches.");
    else {
      await cli.out.line(`${formatCount(discarded)} discarded`);
      if (skipped.size > 0)
        await cli.out.line(`${cli.out.style("yellow", "Not")}: ${describeCounts(skipped)}`);
    }
    return skipped.size === 0 ? EXIT.ok : EXIT.failed;
  },
});
