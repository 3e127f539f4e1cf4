import { createMesh } from "@chowhound/cli/mesh/mesh";
import { type LiveScreen, startLiveScreen } from "@chowhound/cli/screen/live-screen";

/** The view of `chow top`, until `signal` is aborted. */
export function showMesh(
  admin: Readonly<Record<string, string>>,
  { output, signal }: { output: NodeJS.WriteStream; signal: AbortSignal },
): LiveScreen {
  const value = Object.entries(admin).map(([name, address]) => ({
    service: name.replace(/-\d+$/, ""),
    url: `http://${address}`,
  }));
  const mesh = createMesh(async () => ({ admin: { value, from: "this mesh" } }), signal);
  return startLiveScreen({
    find: () => mesh.processes(),
    output,
    footer: "Ctrl-C drains and stops",
    signal,
  });
}
