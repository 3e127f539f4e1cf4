import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import {
  DeadLetterService,
  ReplayDeadLettersRequestSchema,
  type ReplayDeadLettersResponse,
} from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";

/** What of the dead letters, in the words of the contract. */
export type Selection = NonNullable<MessageInitShape<typeof ReplayDeadLettersRequestSchema>["selection"]>;

/** Everything, of all tenants. */
export const ALL: Selection = { by: { case: "all", value: true } };

/** The store's DeadLetterService at an admin port. */
export function deadLettersAt(address: string) {
  const { calls, raw, metadata, close } = createGrpcClient(DeadLetterService, address);
  return {
    calls,
    close,
    /** Ends when all is sent; rejects where the call does. */
    async replay(
      selection: Selection,
      {
        traceparent,
        onProgress,
      }: { traceparent?: string; onProgress?(progress: ReplayDeadLettersResponse): void } = {},
    ): Promise<ReplayDeadLettersResponse[]> {
      const sent = metadata.clone();
      if (traceparent !== undefined) sent.set("traceparent", traceparent);
      const all: ReplayDeadLettersResponse[] = [];
      const request = create(ReplayDeadLettersRequestSchema, { selection });
      const stream = raw.replayDeadLetters!(request, sent) as AsyncIterable<ReplayDeadLettersResponse>;
      for await (const progress of stream) {
        all.push(progress);
        onProgress?.(progress);
      }
      return all;
    },
  };
}
