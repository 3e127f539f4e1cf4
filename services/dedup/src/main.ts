import { runService } from "@chowhound/shared/runtime/run-service";
import { dedupSettings } from "./config.ts";
import { createDedup } from "./service.ts";

await runService({ name: "dedup", settings: dedupSettings, create: createDedup });
