/** The naive store: one INSERT for each record, over a pool of connections. */
import { fromBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { Pool } from "pg";
import { announceReady, openStage } from "./serve-stage.ts";

const CONNECTIONS = 10;
const INSERT = {
  name: "insert",
  text: `
    insert into records (tenant_id, source_type, source_id, data_id, uuid, data, metadata, metadata_type, lang,
                         attributes, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    on conflict (tenant_id, source_type, source_id, data_id) do update
      set data = excluded.data, metadata = excluded.metadata, metadata_type = excluded.metadata_type,
          lang = excluded.lang, attributes = excluded.attributes, updated_at = excluded.updated_at
      where excluded.updated_at > records.updated_at`,
};

const pool = new Pool({ connectionString: process.env.POSTGRES_URL!, max: CONNECTIONS });
const stage = await openStage();
await stage.consume("unique", async (bytes) => {
  const record = fromBinary(IngestionDataSchema, bytes);
  const { tenantId, sourceType, sourceId, dataId, uuid, data, metadataType, lang } = record;
  await pool.query({
    ...INSERT,
    values: [
      tenantId,
      sourceType,
      sourceId,
      dataId,
      uuid,
      data,
      JSON.stringify(record.metadata ?? {}),
      metadataType,
      lang,
      JSON.stringify(record.attributes),
      record.createdAt && timestampDate(record.createdAt),
      record.updatedAt && timestampDate(record.updatedAt),
    ],
  });
});
announceReady();
