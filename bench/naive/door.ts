/** The naive gateway: decodes a call and publishes each of its records. */
import { create, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { IngestionService, RecordOutcome } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { grpcServiceDefinition, unaryHandlers } from "@chowhound/shared/rpc/grpc-service";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { announceReady, openStage } from "./serve-stage.ts";

const stage = await openStage();
const server = new Server({ "grpc.max_receive_message_length": 16 << 20 });
server.addService(
  grpcServiceDefinition(IngestionService),
  unaryHandlers(
    IngestionService,
    {
      ingest: async ({ records }) => {
        await Promise.all(
          records.map((record) => {
            const checked = create(IngestionDataSchema, { ...record, tenantId: "naive" });
            if (checked.sourceType === "" || checked.sourceId === "") throw new Error("a record has no key");
            return stage.publish("raw", toBinary(IngestionDataSchema, checked));
          }),
        );
        const statuses = records.map(({ uuid }) => ({ uuid, outcome: RecordOutcome.ACCEPTED }));
        return { receipt: { accepted: records.length, statuses } };
      },
    },
    (_method, error) => console.error(error),
  ),
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  announceReady(port);
});
