import { runService } from "@chowhound/shared/service/run-service";
import { settings } from "./config.ts";
import { createStore } from "./service.ts";

await runService({ name: "store", settings, create: createStore });
