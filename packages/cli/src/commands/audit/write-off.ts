import { hostname, userInfo } from "node:os";
import { AuditService, AuditWriteOffSchema } from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { CliError, UsageError } from "../../cli-error.ts";
import { defineCommand } from "../../command.ts";
import { canAsk, confirm } from "../../confirm.ts";
import { callAnyProcess } from "../../mesh/any-process.ts";
import { printable } from "../../output/format.ts";
import { protoJson } from "../../output/proto-json.ts";
import { describeWriteOff } from "./run.ts";

export const command = defineCommand({
  options: (yargs) =>
    yargs
      .positional("epoch", {
        type: "string",
        demandOption: true,
        describe: "The epoch, as chow audit names it",
      })
      .positional("first", { type: "string", demandOption: true, describe: "The first number" })
      .positional("last", { type: "string", describe: "The last number, where it is more than one" })
      .option("note", {
        type: "string",
        requiresArg: true,
        demandOption: true,
        describe: "Why; every later audit shows it",
      })
      .option("by", {
        type: "string",
        requiresArg: true,
        describe: "Who does it; shown, too [default: your account, USER@HOST]",
      })
      .option("yes", { alias: "y", type: "boolean", describe: "Don't ask first" }),
  examples: [
    [
      "chow audit write-off 1795201123456789 17 19 --note 'restored the backup of May 3, all sent again'",
      "Three numbers that are missing",
    ],
  ],
  run: async (args, cli) => {
    const epoch = readNumber(args.epoch, "the epoch");
    const firstNumber = readNumber(args.first, "the first number");
    const lastNumber = args.last === undefined ? firstNumber : readNumber(args.last, "the last number");
    const { note, by = `${userInfo().username}@${hostname()}` } = args;
    if (args.yes !== true) {
      if (!canAsk(cli))
        throw new UsageError("nobody can be asked here; give --yes to write off without a question");
      const question = `Write off ${lastNumber - firstNumber + 1n} numbers for good? Audits are closed in spite of them then.`;
      if (!(await confirm(cli, question))) throw new CliError("nothing was written off");
    }
    const request = { epoch, firstNumber, lastNumber, note, writtenOffBy: by };
    const { writeOff } = await callAnyProcess(await cli.mesh.processes(["store"]), (store) =>
      store.client(AuditService).writeOff(request),
    );
    if (writeOff === undefined) throw new CliError("the store answers without a write-off");
    if (cli.out.json) await cli.out.document(protoJson(AuditWriteOffSchema, writeOff));
    else await cli.out.line(printable(`Written off as ${describeWriteOff(writeOff)}`));
  },
});

function readNumber(text: string, what: string): bigint {
  if (/^\d{1,18}$/.test(text)) return BigInt(text);
  throw new UsageError(
    `${JSON.stringify(text)} is not ${what}: give it as chow audit shows it, without commas`,
  );
}
