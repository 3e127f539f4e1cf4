import type { ComposeProject } from "./compose.ts";

interface Container {
  Config: { User: string };
  HostConfig: { ReadonlyRootfs: boolean; CapDrop: string[] | null; SecurityOpt: string[] | null };
}

/** Throws unless a container of ours runs as nobody in particular, can write nothing but what it is given, and gains no rights. */
export async function expectHardened({ docker }: ComposeProject, container: string): Promise<void> {
  const uid = await docker("exec", container, "id", "-u");
  if (!/^[1-9]\d*$/.test(uid)) throw new Error(`${container} runs as user ${uid}`);
  const written = await docker("exec", container, "touch", "/app/written").then(
    () => "it was",
    (error: Error) => error.message,
  );
  if (!/read-only file system/i.test(written))
    throw new Error(`${container} could be written to: ${written}`);
  const [{ HostConfig }] = JSON.parse(await docker("inspect", container)) as [Container];
  if (!HostConfig.ReadonlyRootfs) throw new Error(`${container} has a root that can be written`);
  if (HostConfig.CapDrop?.join() !== "ALL") throw new Error(`${container} keeps capabilities`);
  if (HostConfig.SecurityOpt?.some((option) => option.startsWith("no-new-privileges")) !== true)
    throw new Error(`${container} can gain privileges`);
}

/** Throws where one of the secrets is in what Docker shows of containers and images, or in a log. */
export async function expectNoSecrets(
  { docker, compose }: ComposeProject,
  secrets: Readonly<Record<string, string>>,
): Promise<void> {
  const containers = (await compose("--profile", "*", "ps", "--all", "--quiet")).split("\n").filter(Boolean);
  const images = [...new Set(await Promise.all(containers.map((id) => imageOf(docker, id))))];
  const places: Record<string, string> = {
    "docker inspect": await docker("inspect", ...containers),
    "the images": await docker("image", "inspect", ...images),
    "the logs": await compose("--profile", "*", "logs"),
  };
  for (const image of images)
    places[`the history of ${image}`] = await docker("history", "--no-trunc", image);
  for (const [place, text] of Object.entries(places))
    for (const [name, secret] of Object.entries(secrets)) {
      if (secret.length < 16) throw new Error(`${name} is too short to be looked for`);
      if (text.includes(secret)) throw new Error(`${name} is in ${place}`);
    }
}

function imageOf(docker: ComposeProject["docker"], container: string): Promise<string> {
  return docker("inspect", "--format", "{{.Image}}", container);
}
