import {
  ListPipelinesResponseSchema,
  PipelineService,
} from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { defineCommand } from "../../command.ts";
import { callAnyProcess } from "../../mesh/any-process.ts";
import { protoJson } from "../../output/proto-json.ts";
import { formatTimestamp } from "../../proto-time.ts";

export const command = defineCommand({
  options: (yargs) => yargs,
  examples: [["chow pipelines list", "Those in force, by tenant and source type"]],
  run: async (_args, cli) => {
    const response = await callAnyProcess(await cli.mesh.processes(["enricher"]), (process) =>
      process.client(PipelineService).listPipelines({}),
    );
    if (cli.out.json) {
      await cli.out.document(protoJson(ListPipelinesResponseSchema, response));
      return;
    }
    if (response.pipelines.length === 0) {
      cli.out.note("No pipeline is in force: records are stored as they come.");
      return;
    }
    await cli.out.table(
      [
        { title: "TENANT" },
        { title: "SOURCE_TYPE" },
        { title: "VERSION", align: "right" },
        { title: "APPLIED" },
        { title: "DESCRIPTION" },
      ],
      response.pipelines.map((pipeline) => [
        pipeline.tenantId,
        pipeline.sourceType,
        String(pipeline.version),
        formatTimestamp(pipeline.appliedAt),
        pipeline.description,
      ]),
    );
  },
});
