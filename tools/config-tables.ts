/**
 * Writes the configuration tables of the services' READMEs from the services' settings. With --check: changes nothing,
 * exits 1 where a table is out of date.
 */
import { processSettings } from "@chowhound/shared/runtime/common-settings";
import { configTable, type Settings } from "@chowhound/shared/runtime/config";
import { settings as dedup } from "../services/dedup/src/config.ts";
import { settings as enricher } from "../services/enricher/src/config.ts";
import { settings as gateway } from "../services/gateway/src/config.ts";
import { settings as store } from "../services/store/src/config.ts";
import { writeSection } from "./generated-section.ts";

const services: Record<string, Settings> = { gateway, enricher, dedup, store };
for (const [name, settings] of Object.entries(services))
  writeSection(
    `services/${name}/README.md`,
    "configuration",
    configTable({ ...processSettings, ...settings }),
  );
