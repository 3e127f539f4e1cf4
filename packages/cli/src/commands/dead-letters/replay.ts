import type { JsonObject } from "@bufbuild/protobuf";
import { checkCount } from "../../check-count.ts";
import { type Cli, defineCommand } from "../../command.ts";
import { openDeadLetters } from "../../dead-letters/calls.ts";
import { describeCounts, sum } from "../../dead-letters/counts.ts";
import { completeFilter } from "../../dead-letters/filter.ts";
import { findOpen } from "../../dead-letters/find-open.ts";
import { ReplayTally, send, untilSettled } from "../../dead-letters/replay.ts";
import { readSelection, selectionOptions } from "../../dead-letters/selection.ts";
import { EXIT } from "../../exit-codes.ts";
import { formatCount, printable } from "../../output/format.ts";
import { showProgress } from "../../output/show-progress.ts";

export const command = defineCommand({
  options: (yargs) =>
    selectionOptions(yargs)
      .option("limit", {
        type: "number",
        requiresArg: true,
        describe: "At most so many letters, those accepted first",
      })
      .option("wait", {
        type: "boolean",
        describe: "Wait until it shows what becomes of each; --no-wait ends when all are sent",
      }),
  examples: [
    ["chow dead-letters replay --reason map_failed --limit 10", "A few first: is it mended?"],
    ["chow dead-letters replay --reason map_failed", "Then the rest"],
    ["chow dead-letters replay --all --no-wait", "Everything; look at chow dead-letters later"],
  ],
  completeOption: completeFilter,
  run: async (args, cli) => {
    const selection = readSelection(args);
    const limit = args.limit === undefined ? Number.POSITIVE_INFINITY : checkCount(args.limit, "--limit");
    const isWaiting = args.wait !== false;
    const call = await openDeadLetters(cli.mesh);
    const tally = new ReplayTally();
    const progress = showProgress(process.stderr, () => renderProgress(tally));
    let isAllSent = false;
    try {
      const { open, skipped } = await findOpen(call, selection, limit);
      tally.matched = open.size;
      tally.skipped = skipped;
      await send(call, open, tally);
      isAllSent = true;
      if (isWaiting) await untilSettled(call, open, tally, cli.signal);
    } catch (error) {
      progress.stop();
      cli.out.note(describeInterruption(tally, isAllSent));
      throw error;
    } finally {
      progress.stop();
    }
    await (cli.out.json ? cli.out.document(toJson(tally)) : showTally(cli, tally, isWaiting));
    const isAllWell = tally.diedAgain.size === 0 && tally.skipped.size === 0 && tally.discarded === 0;
    return isAllWell ? EXIT.ok : EXIT.failed;
  },
});

function renderProgress(tally: ReplayTally): string {
  const { matched, sent, waiting } = tally;
  const parts = [`${formatCount(sent)} of ${formatCount(matched)} sent`];
  if (sent > 0) parts.push(`${formatCount(sent - waiting)} settled`);
  return parts.join("  ");
}

function describeInterruption({ matched, sent, waiting }: ReplayTally, isAllSent: boolean): string {
  if (isAllSent)
    return `All ${formatCount(sent)} were sent; of ${formatCount(waiting)} it is open what becomes of them: see chow dead-letters`;
  return `${formatCount(sent)} of ${formatCount(matched)} were sent. The same command goes on: what has landed is not sent again`;
}

async function showTally({ out }: Cli, tally: ReplayTally, hasWaited: boolean): Promise<void> {
  const { matched, sent, landed, diedAgain, skipped, discarded, examples } = tally;
  if (matched === 0 && skipped.size === 0) {
    out.note("No open dead letter matches.");
    return;
  }
  await out.line(
    `${formatCount(sent)} sent again${hasWaited ? "" : "; chow dead-letters shows what is left"}`,
  );
  if (landed.size > 0)
    await out.line(
      `  ${out.style("green", `${formatCount(sum(landed))} landed`)}: ${describeCounts(landed)}`,
    );
  if (diedAgain.size > 0)
    await out.line(
      `  ${out.style("red", `${formatCount(sum(diedAgain))} died again`)}: ${describeCounts(diedAgain)}`,
    );
  for (const { id, detail } of examples.values()) await out.line(printable(`    ${id}: ${detail}`));
  if (discarded > 0) await out.line(`  ${formatCount(discarded)} discarded by somebody meanwhile`);
  if (skipped.size > 0)
    await out.line(
      `${out.style("yellow", `${formatCount(sum(skipped))} not sent`)}: ${describeCounts(skipped)}`,
    );
}

function toJson({ matched, sent, landed, diedAgain, skipped, discarded, waiting }: ReplayTally): JsonObject {
  return {
    matched,
    sent,
    landed: Object.fromEntries(landed),
    diedAgain: Object.fromEntries(diedAgain),
    discarded,
    skipped: Object.fromEntries(skipped),
    waiting,
  };
}
