import { runService } from "@chowhound/shared/service/run-service";
import { settings } from "./config.ts";
import { createGateway } from "./service.ts";

await runService({ name: "gateway", settings, create: createGateway });
