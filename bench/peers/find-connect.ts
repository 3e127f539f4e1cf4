import { findOnPath, runCommand } from "@chowhound/local/run-command";

const NAMES = ["redpanda-connect", "redpanda-connect-community"];
const VARIABLE = "CHOWHOUND_BENCH_REDPANDA_CONNECT";

export interface ConnectProgram {
  path: string;
  version: string;
}

/** Redpanda Connect: the program that the variable names, else from PATH; undefined where there is none. */
export async function findConnect(env: NodeJS.ProcessEnv): Promise<ConnectProgram | undefined> {
  const candidates = [env[VARIABLE], ...(await Promise.all(NAMES.map((name) => findOnPath(name, env.PATH))))];
  const path = candidates.find((candidate) => candidate !== undefined && candidate !== "");
  if (path === undefined) return undefined;
  const said = await runCommand(path, ["--version"]);
  return { path, version: /^Version:\s*(\S+)/m.exec(said)?.[1] ?? said.split("\n")[0]! };
}

export const HOW_TO_GET_IT = `there is no ${NAMES.join(" and no ")} on PATH, and ${VARIABLE} names none`;
