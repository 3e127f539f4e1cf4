import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  AuditService,
  CompactBooksResponseSchema,
} from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { UsageError } from "../../cli-error.ts";
import { defineCommand } from "../../command.ts";
import { callAnyProcess } from "../../mesh/any-process.ts";
import { formatCount } from "../../output/format.ts";
import { protoJson } from "../../output/proto-json.ts";
import { parseSpan } from "../../parse-time.ts";

export const command = defineCommand({
  options: (yargs) =>
    yargs.option("keep", {
      type: "string",
      requiresArg: true,
      describe: "Keep what was booked within this time [default: the store's setting]",
    }),
  examples: [["chow audit compact --keep 7d", "Fold what was booked more than a week ago into sums"]],
  run: async ({ keep }, cli) => {
    const keepMs = keep === undefined ? undefined : parseSpan(keep);
    if (keep !== undefined && keepMs === undefined)
      throw new UsageError(`--keep: ${JSON.stringify(keep)} is no span such as 7d or 12h`);
    const request = keepMs === undefined ? {} : { keep: durationFromMs(keepMs) };
    const response = await callAnyProcess(await cli.mesh.processes(["store"]), (store) =>
      // Step by step until all is folded.
      store.client(AuditService).compactBooks(request, { timeoutMs: 0 }),
    );
    if (cli.out.json) await cli.out.document(protoJson(CompactBooksResponseSchema, response));
    else await cli.out.line(`${formatCount(response.compactedInvoices)} invoices were folded into sums`);
  },
});
