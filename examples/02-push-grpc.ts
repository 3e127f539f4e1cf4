/**
 * Pushes records over gRPC with the generated client, and does what a good producer does when it is told to wait.
 *
 *   npm start                           in one terminal
 *   npx node examples/02-push-grpc.ts   in another
 */
import { setTimeout as sleep } from "node:timers/promises";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { RetryInfoSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { readEndpoints } from "./endpoints.ts";

const { grpc, key } = await readEndpoints();
const client = createClient(IngestionService, createGrpcTransport({ baseUrl: `http://${grpc}` }));
const records = Array.from({ length: 100 }, (_, i) => ({
  sourceType: "host-inventory",
  sourceId: "rack-7",
  dataId: `host-${i}`,
  data: `host ${i} is up`,
  metadata: { cores: 8, disks: [{ size: 512 }] },
  attributes: { site: "berlin" },
  updatedAt: timestampNow(),
}));

// Sending the same records again is always safe: the mesh lands each of them once.
for (;;) {
  try {
    const { receipt } = await client.ingest({ records }, { headers: { authorization: `Bearer ${key}` } });
    console.log(
      `accepted ${receipt?.accepted}, rejected ${receipt?.rejected}, receipt ${receipt?.receiptId}`,
    );
    break;
  } catch (error) {
    const failure = ConnectError.from(error);
    const [retry] = failure.findDetails(RetryInfoSchema);
    // Without it, what is exhausted is the size of a call: that stays as it is.
    if (retry === undefined && failure.code !== Code.Unavailable) throw error;
    const delay = retry?.retryDelay;
    const waitMs = Number(delay?.seconds ?? 1n) * 1000 + (delay?.nanos ?? 0) / 1e6;
    console.log(`${failure.message}; again in ${waitMs} ms`);
    await sleep(waitMs);
  }
}
