import { LandedRecordSchema, QueryService } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { CliError, UsageError } from "../cli-error.ts";
import { defineCommand } from "../command.ts";
import { toLandedRow } from "../output/landed-record.ts";
import { protoJson } from "../output/proto-json.ts";
import { showFields } from "../output/show-fields.ts";

export const command = defineCommand({
  options: (yargs) =>
    yargs
      .positional("source-type", { type: "string", describe: "The kind of source" })
      .positional("source-id", { type: "string", describe: "The source" })
      .positional("data-id", { type: "string", describe: "The identity within the source, as it landed" })
      .option("uuid", { type: "string", requiresArg: true, describe: "Name the record by its uuid instead" }),
  examples: [
    ["chow get npm-package registry left-pad@1.3.0", "The newest record of this key"],
    ["chow get --uuid 0198c5a2-7c1e-7d43-9b0e-3f6f0c1d2e4a", "By its uuid"],
    ["chow get note terminal 1 --json | jq .record.metadata", "For a program"],
  ],
  run: async ({ sourceType, sourceId, dataId, uuid }, cli) => {
    const by = nameRecord([sourceType, sourceId, dataId], uuid);
    const client = await cli.mesh.gateway(QueryService);
    const { record: landed } = await client.getRecord({ by });
    if (landed === undefined) throw new CliError("the mesh answers without a record");
    if (cli.out.json) {
      await cli.out.document(protoJson(LandedRecordSchema, landed));
      return;
    }
    const fields = Object.entries(toLandedRow(landed)).map(([name, value]): [string, string] => {
      const text = typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "");
      return [name, text === "{}" ? "" : text];
    });
    await showFields(cli.out, fields);
  },
});

function nameRecord(key: readonly (string | undefined)[], uuid: string | undefined) {
  const [sourceType, sourceId, dataId] = key;
  if (uuid !== undefined) {
    if (sourceType !== undefined)
      throw new UsageError("name the record by its key or by --uuid, not by both");
    return { case: "uuid", value: uuid } as const;
  }
  if (sourceType === undefined || sourceId === undefined || dataId === undefined)
    throw new UsageError("name the record: SOURCE_TYPE SOURCE_ID DATA_ID, or --uuid UUID");
  return { case: "key", value: { sourceType, sourceId, dataId } } as const;
}
