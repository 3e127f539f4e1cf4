import { AdminService } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { defineCommand } from "../command.ts";
import { chooseProcesses, targetArgument } from "../mesh/choose-processes.ts";
import { onEachProcess } from "../mesh/on-each-process.ts";
import { stateOutcome } from "../mesh/process-status.ts";

export const command = defineCommand({
  options: (yargs) => targetArgument(yargs),
  examples: [["chow resume store", "Every replica of the store"]],
  complete: (_words, cli) => cli.mesh.services(),
  run: async ({ target }, cli) =>
    onEachProcess(cli, await chooseProcesses(cli.mesh, target), async (process) =>
      stateOutcome(await process.client(AdminService).resume({})),
    ),
});
