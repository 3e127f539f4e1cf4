import { runService } from "@chowhound/shared/service/run-service";
import { settings } from "./config.ts";
import { createEnricher } from "./service.ts";

await runService({ name: "enricher", settings, create: createEnricher });
