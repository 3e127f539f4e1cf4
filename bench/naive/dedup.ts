/** The naive dedup: drops what it has published before. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { announceReady, openStage } from "./serve-stage.ts";

const stage = await openStage();
const seen = new Set<string>();
await stage.consume("enriched", async (bytes) => {
  const record = fromBinary(IngestionDataSchema, bytes);
  const { tenantId, sourceType, sourceId, dataId, updatedAt } = record;
  const key = JSON.stringify([tenantId, sourceType, sourceId, dataId, String(updatedAt?.seconds)]);
  if (seen.has(key)) return;
  await stage.publish("unique", toBinary(IngestionDataSchema, record));
  seen.add(key);
});
announceReady();
