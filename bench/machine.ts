import { statfs } from "node:fs/promises";
import { loadavg, release, tmpdir, totalmem } from "node:os";
import { findNatsServer } from "@chowhound/local/nats-server-binary";
import { findPostgresBinaries } from "@chowhound/local/postgres-binaries";
import { findUnprivilegedUser } from "@chowhound/local/unprivileged-user";
import { canMeasureCpu, describeCpu } from "./cpu-time.ts";
import type { CopyTool } from "./psql-copy.ts";

/** What a figure has to be read with. */
export interface Machine {
  cpu: string;
  memoryGiB: number;
  system: string;
  /** Of the temporary directory, where the benchmark's data is. */
  fileSystem: string;
  node: string;
  natsServer: string;
  postgres: string;
  copyTool: string;
  /** Over the last minute, before the first round: other work falsifies the figures. */
  loadAverage: number;
  measuresCpu: boolean;
}

/** Linux's numbers, see statfs(2). */
const FILE_SYSTEMS: Record<number, string> = {
  61267: "ext4",
  1481003842: "xfs",
  2435016766: "btrfs",
  16914836: "tmpfs (in memory: no disk is waited for)",
  2035054128: "overlayfs",
};

export async function describeMachine(copyTool: CopyTool): Promise<Machine> {
  const nats = await findNatsServer({ log: () => {} });
  const postgres = await findPostgresBinaries(findUnprivilegedUser());
  const { type } = await statfs(tmpdir());
  return {
    cpu: describeCpu(),
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    system: `${process.platform} ${release()}`,
    fileSystem: FILE_SYSTEMS[type] ?? `type 0x${type.toString(16)}`,
    node: process.version,
    natsServer: nats.version,
    postgres: postgres.version,
    copyTool: copyTool.kind === "psql" ? copyTool.version : "no psql on PATH: COPY through pg-copy-streams",
    loadAverage: Math.round(loadavg()[0]! * 100) / 100,
    measuresCpu: canMeasureCpu,
  };
}

export function renderMachine(machine: Machine): string {
  return [
    `${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.system}, data on ${machine.fileSystem}`,
    `Node ${machine.node}, nats-server ${machine.natsServer}, PostgreSQL ${machine.postgres}; ${machine.copyTool}`,
    `load average before: ${machine.loadAverage.toFixed(2)}`,
    ...(machine.measuresCpu ? [] : ["CPU time is not measured here: it takes Linux"]),
  ].join("\n");
}
