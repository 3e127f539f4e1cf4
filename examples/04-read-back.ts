/**
 * Reads back what has landed: pushes a few records, waits for one of them, then lists all of their source, page by page.
 *
 *   npm start                            in one terminal
 *   npx node examples/04-read-back.ts   in another
 */
import { setTimeout as sleep } from "node:timers/promises";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { type GetRecordResponse, QueryService } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { readEndpoints } from "./endpoints.ts";

const { grpc, key } = await readEndpoints();
const transport = createGrpcTransport({ baseUrl: `http://${grpc}` });
const options = { headers: { authorization: `Bearer ${key}` } };
const source = { sourceType: "weather", sourceId: "harbour" };
const records = Array.from({ length: 25 }, (_, i) => ({
  ...source,
  dataId: `reading-${String(i).padStart(2, "0")}`,
  data: `${18 + i / 10} °C`,
  updatedAt: timestampNow(),
}));
const { receipt } = await createClient(IngestionService, transport).ingest({ records }, options);
const uuid = receipt!.statuses.at(-1)!.uuid;

const query = createClient(QueryService, transport);

/** A receipt says that a record is accepted. It lands a moment later. */
async function whenLanded(): Promise<GetRecordResponse> {
  for (let tries = 1; ; tries++) {
    try {
      return await query.getRecord({ by: { case: "uuid", value: uuid } }, options);
    } catch (error) {
      if (ConnectError.from(error).code !== Code.NotFound || tries === 100) throw error;
      await sleep(100);
    }
  }
}

const { record: landed } = await whenLanded();
console.log(`${landed?.record?.dataId}: ${landed?.record?.data}, of receipt ${landed?.receiptId}`);

let pageToken = "";
do {
  const page = await query.listRecords({ ...source, pageSize: 10, pageToken }, options);
  console.log(`a page of ${page.records.length}, from ${page.records[0]?.record?.dataId}`);
  pageToken = page.nextPageToken;
} while (pageToken !== "");
