import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { repositoryRoot } from "@chowhound/local/node-binary";

const run = promisify(execFile);

/** docker-compose.yml as a project of its own, beside any other that runs on this machine. */
export interface ComposeProject {
  /** What .env would say, and the project's name: for commands that know nothing of this one. */
  env: Readonly<Record<string, string>>;
  /** `docker <args>`; returns and rejects as `compose`. */
  docker(...args: string[]): Promise<string>;
  /** `docker compose <args>`; returns what it prints. Rejects with the end of its errors. */
  compose(...args: string[]): Promise<string>;
  /** The ids of a service's containers. */
  containers(service: string): Promise<string[]>;
  /** The one row of a query, by psql in the PostgreSQL container. */
  queryRow<T extends object>(sql: string): Promise<T>;
  /** Kills everything in a container, waits until Docker has started it again and it is healthy, or runs where it has no health. */
  killAndAwait(container: string): Promise<void>;
  /** Containers, volumes and networks of the project that are still there. */
  leftovers(): Promise<string[]>;
}

const recoveryTimeoutMs = 60_000;
const HEALTH = "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}";
const shownErrorCharacters = 2_000;

/** @param env what .env would say, such as the ports */
export function createComposeProject(name: string, env: Readonly<Record<string, string>>): ComposeProject {
  const docker = async (...args: string[]): Promise<string> => {
    const options = { cwd: repositoryRoot, env: { ...process.env, ...env }, maxBuffer: 64 << 20 };
    try {
      return (await run("docker", args, options)).stdout.trim();
    } catch (error) {
      const { stderr = "" } = error as { stderr?: string };
      const shown = stderr.trim().slice(-shownErrorCharacters);
      throw new Error(`docker ${args.join(" ")} failed:\n${shown}`, { cause: error });
    }
  };
  const compose = (...args: string[]) => docker("compose", "--project-name", name, ...args);

  /** How often Docker has started it again, and its health. */
  const state = async (container: string): Promise<{ restarts: number; health: string }> => {
    const [restarts, health] = (
      await docker("inspect", "--format", `{{.RestartCount}} ${HEALTH}`, container)
    ).split(" ");
    return { restarts: Number(restarts), health: health ?? "" };
  };

  return {
    env: { ...env, COMPOSE_PROJECT_NAME: name },
    docker,
    compose,
    containers: async (service) => (await compose("ps", "--quiet", service)).split("\n").filter(Boolean),
    async queryRow<T extends object>(sql: string) {
      const psql = ["psql", "-U", "chowhound", "-At", "-c", `select to_json(t) from (${sql}) t`];
      return JSON.parse(await compose("exec", "-T", "postgres", ...psql)) as T;
    },
    async killAndAwait(container) {
      const deadlineMs = performance.now() + recoveryTimeoutMs;
      const before = await state(container);
      // From inside: Docker does not start again what `docker kill` has ended. The call dies with the container.
      await docker("exec", container, "sh", "-c", "kill -9 -1").catch(() => {});
      for (;;) {
        const { restarts, health } = await state(container);
        if (restarts > before.restarts && health === before.health) return;
        if (performance.now() > deadlineMs) throw new Error(`${container} has not come back: ${health}`);
        await sleep(200);
      }
    },
    async leftovers() {
      const ofProject = ["--quiet", "--filter", `label=com.docker.compose.project=${name}`];
      const found = await Promise.all([
        docker("ps", "--all", ...ofProject),
        docker("volume", "ls", ...ofProject),
        docker("network", "ls", ...ofProject),
      ]);
      return found.flatMap((ids) => ids.split("\n")).filter(Boolean);
    },
  };
}
