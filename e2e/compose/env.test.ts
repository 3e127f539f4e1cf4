import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "@chowhound/local/node-binary";
import { processSettings } from "@chowhound/shared/runtime/common-settings";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { settings as dedup } from "../../services/dedup/src/config.ts";
import { settings as enricher } from "../../services/enricher/src/config.ts";
import { settings as gateway } from "../../services/gateway/src/config.ts";
import { settings as store } from "../../services/store/src/config.ts";

const read = (name: string): string => readFileSync(join(repositoryRoot, name), "utf8");
const composeFile = read("docker-compose.yml");
const envFile = read(".env");
const linesOf = (pattern: RegExp) =>
  Object.fromEntries([...envFile.matchAll(pattern)].map(([, name, value]) => [name, value]));
/** Behind a `#`: what holds anyway. */
const defaults = linesOf(/^#([A-Z_]+)=(.*)$/gm);
/** In force, because the demo should show something at once. */
const changed = linesOf(/^([A-Z_]+)=(.*)$/gm);

/** Variables that docker-compose.yml gives a service: .env can't change them. */
function fixedNames(): Set<string> {
  const services = Object.values(parse(composeFile, { merge: true }).services);
  const environments = services.map((service) => (service as { environment?: object }).environment ?? {});
  const names = environments.flatMap((environment) => Object.keys(environment));
  // A file stands for its variable, see deploy/entrypoint.sh.
  return new Set(names.map((name) => name.replace(/_FILE$/, "")).concat(names));
}

test(".env lists every setting that it can change, with its default", () => {
  const fixed = fixedNames();
  const expected: Record<string, string | undefined> = { CHOWHOUND_DEMO_INTERVAL: "1s" };
  for (const [, name, fallback] of composeFile.matchAll(/\$\{([A-Z_]+):-([^}]*)\}/g))
    expected[name!] = fallback;
  for (const settings of [processSettings, gateway, enricher, dedup, store])
    for (const { env, fallback } of Object.values(settings)) if (!fixed.has(env)) expected[env] = fallback;
  for (const name of Object.keys(changed)) delete expected[name];
  expect(defaults).toEqual(expected);
});

test("all that .env changes is what comes up and how much is traced", () => {
  expect(changed).toEqual({ COMPOSE_PROFILES: "observability,demo", CHOWHOUND_TRACE_RATIO: "1" });
});
