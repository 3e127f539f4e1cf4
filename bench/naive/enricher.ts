/** The naive enricher: decodes each record, changes it a little, encodes it again. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { announceReady, openStage } from "./serve-stage.ts";

const stage = await openStage();
await stage.consume("raw", async (bytes) => {
  const record = fromBinary(IngestionDataSchema, bytes);
  record.lang ||= "und";
  await stage.publish("enriched", toBinary(IngestionDataSchema, record));
});
announceReady();
