/**
 * Pushes batches on one stream. Receipts come in the order of the batches; a full mesh slows the stream down by itself.
 *
 *   npm start                           in one terminal
 *   npx node examples/03-push-stream.ts in another
 */
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { readEndpoints } from "./endpoints.ts";

const { grpc, key } = await readEndpoints();
const client = createClient(IngestionService, createGrpcTransport({ baseUrl: `http://${grpc}` }));

async function* batches() {
  for (let number = 1; number <= 20; number++) {
    const records = Array.from({ length: 250 }, (_, i) => ({
      sourceType: "sensor",
      sourceId: "field-station",
      dataId: `reading-${number}-${i}`,
      data: String(Math.round(Math.random() * 1000) / 10),
      updatedAt: timestampNow(),
    }));
    yield { batchNumber: BigInt(number), records };
  }
}

let accepted = 0;
const headers = { authorization: `Bearer ${key}` };
for await (const { batchNumber, receipt } of client.ingestStream(batches(), { headers })) {
  accepted += receipt?.accepted ?? 0;
  console.log(`batch ${batchNumber}: accepted ${receipt?.accepted}, rejected ${receipt?.rejected}`);
}
console.log(`accepted ${accepted} in all`);
