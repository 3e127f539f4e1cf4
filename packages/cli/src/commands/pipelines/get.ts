import { PipelineSchema, PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { CliError } from "../../cli-error.ts";
import { defineCommand } from "../../command.ts";
import { callAnyProcess } from "../../mesh/any-process.ts";
import { protoJson } from "../../output/proto-json.ts";

export const command = defineCommand({
  options: (yargs) =>
    yargs
      .positional("tenant", { type: "string", demandOption: true, describe: 'The tenant, or "*"' })
      .positional("source-type", { type: "string", demandOption: true, describe: 'The source type, or "*"' }),
  examples: [
    ["chow pipelines get acme npm-package > npm-package.yaml", "The definition as it was applied"],
    ["chow pipelines get '*' '*'", "The one for everything that has none of its own"],
  ],
  complete: async (words, cli) => {
    const { pipelines } = await callAnyProcess(await cli.mesh.processes(["enricher"]), (process) =>
      process.client(PipelineService).listPipelines({}),
    );
    const [tenant] = words;
    if (words.length <= 1) return pipelines.map(({ tenantId }) => tenantId);
    return pipelines.filter(({ tenantId }) => tenantId === tenant).map(({ sourceType }) => sourceType);
  },
  run: async ({ tenant, sourceType }, cli) => {
    const { pipeline } = await callAnyProcess(await cli.mesh.processes(["enricher"]), (process) =>
      process.client(PipelineService).getPipeline({ tenantId: tenant, sourceType }),
    );
    if (pipeline === undefined) throw new CliError("the mesh answers without a pipeline");
    if (cli.out.json) await cli.out.document(protoJson(PipelineSchema, pipeline));
    else await cli.out.line(pipeline.definition.trimEnd());
  },
});
