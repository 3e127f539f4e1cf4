import { enumToJson } from "@bufbuild/protobuf";
import {
  AdminService,
  LogLevel,
  LogLevelSchema,
} from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { defineCommand } from "../command.ts";
import { chooseProcesses, targetArgument } from "../mesh/choose-processes.ts";
import { onEachProcess } from "../mesh/on-each-process.ts";

const LEVELS = {
  error: LogLevel.ERROR,
  warn: LogLevel.WARN,
  info: LogLevel.INFO,
  debug: LogLevel.DEBUG,
} as const;

const LEVEL_NAMES = Object.keys(LEVELS) as (keyof typeof LEVELS)[];

export const command = defineCommand({
  options: (yargs) =>
    targetArgument(yargs).positional("level", {
      choices: LEVEL_NAMES,
      demandOption: true,
      describe: "How much it logs from now on, until it ends",
    }),
  examples: [["chow log-level gateway debug", "Every replica of the gateway, at once"]],
  complete: (words, cli) => (words.length <= 1 ? cli.mesh.services() : Promise.resolve([])),
  run: async ({ target, level }, cli) =>
    onEachProcess(cli, await chooseProcesses(cli.mesh, target), async (process) => {
      const { previousLevel } = await process.client(AdminService).setLogLevel({ level: LEVELS[level] });
      const previous = LEVEL_NAMES.find((name) => LEVELS[name] === previousLevel) ?? "unknown";
      const toJson = (value: LogLevel) => enumToJson(LogLevelSchema, value);
      return {
        text: `logs ${level} (was ${previous})`,
        json: { level: toJson(LEVELS[level]), previousLevel: toJson(previousLevel) },
      };
    }),
});
