/**
 * A producer for the demo: the packages in this image's node_modules as records, a few at a time, for ever. Most come
 * again unchanged, some change, some are late, and now and then one is broken, so that every verdict can be seen.
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import type { IngestionData } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { duration, readConfig, text } from "@chowhound/shared/runtime/config";
import {
  findInstalledPackages,
  type InstalledPackage,
} from "../packages/local/src/demo/installed-packages.ts";
import {
  lateRecord,
  packageRecord,
  recordWithoutVersion,
} from "../packages/local/src/demo/package-records.ts";
import { createProducer } from "../packages/local/src/demo/producer.ts";
import { createGrpcClient } from "../packages/local/src/grpc-client.ts";

const config = readConfig(
  {
    grpc: text("CHOWHOUND_DEMO_GRPC", { doc: "the gateway's gRPC door", fallback: "gateway:50051" }),
    enricherAdmin: text("CHOWHOUND_DEMO_ENRICHER", {
      doc: "an enricher's admin port",
      fallback: "enricher:9090",
    }),
    keyFile: text("CHOWHOUND_DEMO_KEY_FILE", {
      doc: "the file with the key of the tenant local",
      fallback: "/var/lib/chowhound/keys/local.key",
    }),
    intervalMs: duration("CHOWHOUND_DEMO_INTERVAL", 10, 3_600_000, {
      doc: "time between two calls",
      fallback: "1s",
    }),
  },
  process.env,
);
const root = resolve(import.meta.dirname, "..");
const packagesPerCall = 5;
const brokenEvery = 20;
const reportEvery = 60;

/** The records of one call. */
function recordsOf(call: number, packages: readonly InstalledPackage[]): IngestionData[] {
  const at = (i: number): InstalledPackage => packages[i % packages.length]!;
  const first = call * packagesPerCall;
  const changed = at(first);
  return [
    ...Array.from({ length: packagesPerCall }, (_, i) => packageRecord(at(first + i))),
    packageRecord(changed, { metadata: { ...changed.manifest, seen: call }, updatedAt: timestampNow() }),
    lateRecord(at(first + 1)),
    ...(call % brokenEvery === 0 ? [recordWithoutVersion(changed)] : []),
  ];
}

const admin = createGrpcClient(PipelineService, config.enricherAdmin);
const pipeline = resolve(root, "packages/local/src/demo/npm-package.pipeline.yaml");
await admin.calls.applyPipeline({ definition: await readFile(pipeline, "utf8") });
admin.close();

const packages = await findInstalledPackages(root);
const producer = createProducer(config.grpc, (await readFile(config.keyFile, "utf8")).trim());
console.log(`pushing ${packages.length} packages, a few every ${config.intervalMs} ms`);
for (let call = 0; ; call++) {
  try {
    await producer.push(recordsOf(call, packages));
  } catch (error) {
    // It has tried again for a while. These packages will come by again.
    console.error(`not accepted: ${(error as Error).message}`);
  }
  if (call % reportEvery === reportEvery - 1) {
    const { pushed, accepted, rejected } = producer.counts;
    console.log(`${pushed} records pushed: ${accepted} accepted, ${rejected} rejected`);
  }
  await sleep(config.intervalMs);
}
