import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Mesh } from "./mesh.ts";
import type { MeshEndpoints } from "./mesh-parts.ts";

/** What `endpoints.json` holds while a mesh runs: for other programs on this machine. */
export interface EndpointsFile extends MeshEndpoints {
  /** This process, which starts and stops the mesh. */
  pid: number;
  /** The mesh's processes by their names; null while one is down. */
  pids: Record<string, number | null>;
}

export function endpointsPath(dataDir: string): string {
  return join(dataDir, "endpoints.json");
}

/** Written in one step, readable by its owner alone: there are a key and a password in it. */
export async function writeEndpoints(dataDir: string, mesh: Mesh): Promise<void> {
  const content: EndpointsFile = {
    ...mesh.endpoints,
    pid: process.pid,
    pids: Object.fromEntries(mesh.processes.map(({ name, pid }) => [name, pid ?? null])),
  };
  const path = endpointsPath(dataDir);
  const draft = `${path}.new`;
  await rm(draft, { force: true });
  await writeFile(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  await rename(draft, path);
}

export async function removeEndpoints(dataDir: string): Promise<void> {
  await rm(endpointsPath(dataDir), { force: true });
}
