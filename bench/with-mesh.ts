import { type Mesh, type MeshOptions, startMesh } from "@chowhound/local/mesh";
import { SERVICES } from "@chowhound/local/mesh-service";
import { openDataDir } from "./data-dir.ts";

export interface WithMeshOptions {
  /** The services write their CPU profiles to this directory, as `<label>-<service>.cpuprofile`. */
  profileDir?: string | undefined;
  label?: string;
  /** Settings of all services. */
  env?: Readonly<Record<string, string>>;
  replicas?: MeshOptions["replicas"];
  /** Aborted: the start is given up. */
  signal: AbortSignal;
}

/** Runs `action` with a fresh mesh in a temporary directory; stops and removes both, whatever happens. */
export async function withMesh<T>(
  { profileDir, label = "mesh", env: common = {}, replicas, signal }: WithMeshOptions,
  action: (mesh: Mesh, dataDir: string) => Promise<T>,
): Promise<T> {
  await using dataDir = await openDataDir();
  const env = Object.fromEntries(
    SERVICES.map((service) => [service, { ...common, ...profileEnv(service, profileDir, label) }]),
  );
  const options = { dataDir: dataDir.path, env, ...(replicas && { replicas }), signal };
  const mesh = await startMesh({ ...options, log: () => {} });
  try {
    return await action(mesh, dataDir.path);
  } finally {
    await mesh.stop();
  }
}

function profileEnv(service: string, directory: string | undefined, label: string): Record<string, string> {
  if (directory === undefined) return {};
  return {
    NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${directory} --cpu-prof-name=${label}-${service}.cpuprofile`,
  };
}
