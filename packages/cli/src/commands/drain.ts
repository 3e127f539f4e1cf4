import { AdminService } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { CliError } from "../cli-error.ts";
import { defineCommand } from "../command.ts";
import { confirm } from "../confirm.ts";
import { chooseProcesses, targetArgument } from "../mesh/choose-processes.ts";
import { onEachProcess } from "../mesh/on-each-process.ts";
import { stateOutcome } from "../mesh/process-status.ts";

export const command = defineCommand({
  options: (yargs) =>
    targetArgument(yargs).option("yes", { alias: "y", type: "boolean", describe: "Don't ask first" }),
  examples: [
    ["chow drain store/1f0c2b7e", "One replica finishes what is in flight and ends"],
    ["chow drain enricher --yes", "Every replica, without being asked"],
  ],
  complete: (_words, cli) => cli.mesh.services(),
  run: async ({ target, yes }, cli) => {
    const chosen = await chooseProcesses(cli.mesh, target);
    if (yes !== true) {
      const names = chosen.map(({ name }) => name).join(", ");
      const question = `Drain ${names}? It ends; only what supervises it starts it again.`;
      if (!(await confirm(cli, question))) throw new CliError("nothing was drained");
    }
    return onEachProcess(cli, chosen, async (process) =>
      stateOutcome(await process.client(AdminService).drain({})),
    );
  },
});
