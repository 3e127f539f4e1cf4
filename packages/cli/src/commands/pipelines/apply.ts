import { diff } from "node:util";
import {
  type Pipeline,
  PipelineSchema,
  PipelineService,
} from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { Code, ConnectError } from "@connectrpc/connect";
import { CliError } from "../../cli-error.ts";
import { defineCommand } from "../../command.ts";
import { callAnyProcess } from "../../mesh/any-process.ts";
import type { AdminProcess } from "../../mesh/mesh.ts";
import { printable } from "../../output/format.ts";
import type { Output } from "../../output/output.ts";
import { protoJson } from "../../output/proto-json.ts";
import { readText } from "../../read-text.ts";

export const command = defineCommand({
  options: (yargs) =>
    yargs
      .positional("file", {
        type: "string",
        demandOption: true,
        describe: "The definition as YAML; - for stdin",
      })
      .option("dry-run", {
        type: "boolean",
        describe: "Validate it and show what would change; change nothing",
      }),
  examples: [
    ["chow pipelines apply npm-package.yaml --dry-run", "Is it valid, and what would change?"],
    ["chow pipelines apply npm-package.yaml", "Put it in force everywhere, without a restart"],
  ],
  run: async ({ file, dryRun = false }, cli) => {
    const definition = await readText(file, cli.stdin);
    const processes = await cli.mesh.processes(["enricher"]);
    const valid = await apply(processes, definition, true);
    const current = await find(processes, valid);
    const isUnchanged = current !== undefined && current.definition.trimEnd() === definition.trimEnd();
    const change = isUnchanged ? "unchanged" : current === undefined ? "new" : "changed";
    const inForce = isUnchanged ? current : dryRun ? valid : await apply(processes, definition, false);

    if (cli.out.json) {
      const previousVersion = String(current?.version ?? 0n);
      await cli.out.document({
        change,
        dryRun,
        previousVersion,
        pipeline: protoJson(PipelineSchema, inForce),
      });
      return;
    }
    if (change === "changed") await showDiff(cli.out, current?.definition ?? "", definition);
    const name = printable(`${valid.tenantId} ${valid.sourceType}`);
    const outcome = {
      unchanged: `unchanged: version ${current?.version} is in force`,
      new: dryRun ? "valid, and new" : `version ${inForce.version} is in force, the first`,
      changed: dryRun
        ? `valid, and would replace version ${current?.version}`
        : `version ${inForce.version} is in force instead of ${current?.version}`,
    }[change];
    await cli.out.line(`${name}: ${outcome}`);
  },
});

async function apply(
  processes: readonly AdminProcess[],
  definition: string,
  validateOnly: boolean,
): Promise<Pipeline> {
  const { pipeline } = await callAnyProcess(processes, (process) =>
    process.client(PipelineService).applyPipeline({ definition, validateOnly }),
  );
  if (pipeline === undefined) throw new CliError("the mesh answers without a pipeline");
  return pipeline;
}

async function find(
  processes: readonly AdminProcess[],
  { tenantId, sourceType }: Pipeline,
): Promise<Pipeline | undefined> {
  try {
    const { pipeline } = await callAnyProcess(processes, (process) =>
      process.client(PipelineService).getPipeline({ tenantId, sourceType }),
    );
    return pipeline;
  } catch (error) {
    if (ConnectError.from(error).code === Code.NotFound) return undefined;
    throw error;
  }
}

/** The lines that differ, each with what comes just before and after it. */
async function showDiff(out: Output, before: string, after: string): Promise<void> {
  const lines = diff(before.trimEnd().split("\n"), after.trimEnd().split("\n"));
  const isNear = (index: number) =>
    [-2, -1, 0, 1, 2].some((distance) => (lines[index + distance]?.[0] ?? 0) !== 0);
  for (const [index, [operation, text]] of lines.entries()) {
    const line = printable(text);
    if (operation === 1) await out.line(out.style("red", `- ${line}`));
    else if (operation === -1) await out.line(out.style("green", `+ ${line}`));
    else if (isNear(index)) await out.line(`  ${line}`.trimEnd());
  }
}
