import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Mesh, startMesh } from "@chowhound/local/mesh";
import { SERVICES } from "@chowhound/local/mesh-service";
import { removePostgresData } from "@chowhound/local/postgres";

export interface WithMeshOptions {
  /** The services write their CPU profiles to `directory`, as `<label>-<service>.cpuprofile`. */
  profile: { directory: string; label: string } | undefined;
  /** Settings of all services. */
  env?: Readonly<Record<string, string>>;
  /** Aborted: the start is given up. */
  signal: AbortSignal;
}

/** Runs `action` with a fresh mesh in a temporary directory; stops and removes both, whatever happens. */
export async function withMesh<T>(
  { profile, env: common = {}, signal }: WithMeshOptions,
  action: (mesh: Mesh, dataDir: string) => Promise<T>,
): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), "chowhound-bench-"));
  // PostgreSQL may have to run as another user, who has to get through.
  await chmod(dataDir, 0o711);
  const env = Object.fromEntries(
    SERVICES.map((service) => [service, { ...common, ...profileEnv(service, profile) }]),
  );
  let mesh: Mesh | undefined;
  try {
    mesh = await startMesh({ dataDir, env, signal, log: () => {} });
    return await action(mesh, dataDir);
  } finally {
    try {
      await mesh?.stop();
    } finally {
      await removePostgresData(join(dataDir, "postgres"));
      await rm(dataDir, { recursive: true, force: true });
    }
  }
}

function profileEnv(service: string, profile: WithMeshOptions["profile"]): Record<string, string> {
  if (profile === undefined) return {};
  const { directory, label } = profile;
  return {
    NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${directory} --cpu-prof-name=${label}-${service}.cpuprofile`,
  };
}
