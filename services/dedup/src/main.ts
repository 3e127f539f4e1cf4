import { runService } from "@chowhound/shared/service/run-service";
import { settings } from "./config.ts";
import { createDedup } from "./service.ts";

await runService({ name: "dedup", settings, create: createDedup });
