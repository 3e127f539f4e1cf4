import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { unbundle } from "@chowhound/shared/batch/bundle";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import { wholeColumns } from "@chowhound/shared/batch/whole-columns";
import {
  type RecordFate,
  RecordFateSchema,
  RecordState,
  SearchGapSchema,
  type StreamPlace,
  StreamPlaceSchema,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { formatUuid, UUID_BYTES, uuidV7Us } from "@chowhound/shared/record/uuid";
import { type NatsNames, STREAMS, type StreamRole, streamEpoch } from "@chowhound/shared/stream/topology";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { FoundFates } from "./fate-reader.ts";
import { toTimestamp } from "./landed-row.ts";
import { formatLetterId } from "./letter-id.ts";
import { matchRecords } from "./match-records.ts";
import { type ScanLimits, scanStream } from "./scan-stream.ts";

/** Who takes from a stream. */
const TAKEN_BY: Readonly<Record<StreamRole, string>> = {
  raw: "enricher",
  enriched: "dedup",
  unique: "store",
};

/** Of each stream. */
const LIMITS: ScanLimits = { maxMessages: 200, maxBytes: 16 * 1024 ** 2, maxMs: 300 };
/** A batch is in a stream no earlier than its ids were made, but for the clocks. */
const CLOCKS_MS = 10_000;

/**
 * The fates of the tenant's records that wait in the streams: of the one with this uuid, and those that came with this
 * receipt. Looks at a bounded number of messages of each stream and takes none.
 *
 * The streams are searched in the order in which batches pass them, and a batch leaves one only when it is in the next, or
 * booked: what is found nowhere here, and not in the books after that, is nowhere.
 */
export async function peekStreams(
  nc: NatsConnection,
  names: NatsNames,
  { tenantId, id }: { tenantId: string; id: Uint8Array },
  limits: ScanLimits = LIMITS,
): Promise<FoundFates> {
  const found: FoundFates = { fates: [], gaps: [] };
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const madeUs = uuidV7Us(id);
  const fromMs = madeUs === undefined ? undefined : madeUs / 1000 - CLOCKS_MS;
  for (const role of STREAMS) {
    const stream = { name: names.stream(role), subjects: names.subjects(role) };
    const tell = (message: string): void => {
      found.gaps.push(create(SearchGapSchema, { where: role, message }));
    };
    try {
      const { seen, waiting } = await scanStream(jsm, stream, { fromMs, limits }, (message, info) => {
        const waitingAt = create(StreamPlaceSchema, {
          stream: role,
          waitsFor: TAKEN_BY[role],
          sequence: BigInt(message.seq),
          since: timestampFromDate(message.time),
        });
        const about = { epoch: streamEpoch(info), tenantId, id };
        for (const bytes of unbundle(message.data)) found.fates.push(...fatesIn(bytes, waitingAt, about));
      });
      if (seen < waiting) tell(`${seen} of the ${waiting} messages that wait there were searched`);
    } catch (error) {
      tell(`the stream can't be searched: ${(error as Error).message}`);
    }
  }
  return found;
}

/** The tenant's records in an encoded batch that match the id. */
function fatesIn(
  bytes: Uint8Array,
  waiting: StreamPlace,
  { epoch, tenantId, id }: { epoch: bigint; tenantId: string; id: Uint8Array },
): RecordFate[] {
  const decoded = decodeBatch(bytes);
  if (decoded.kind !== "batch") return [];
  const { batch } = decoded;
  const { uuids, callOf, pipelineOf } = wholeColumns(batch, { unknownCall: batch.calls.length });
  const { places } = matchRecords({ uuids, callOf, calls: batch.calls }, tenantId, id);
  const origin = waiting.stream === "raw" ? { epoch, sequence: waiting.sequence } : batch.origin;
  return places.map((place) => {
    const call = batch.calls[callOf[place]!]!;
    const pipelineVersion = batch.pipelines[pipelineOf[place] ?? -1]?.version;
    const letterOrdinal = batch.replayOrdinals[place];
    return create(RecordFateSchema, {
      uuid: formatUuid(uuids, place * UUID_BYTES),
      state: RecordState.IN_FLIGHT,
      receiptId: formatUuid(call.receiptId),
      traceId: call.traceparent.slice(3, 35),
      acceptedAt: toTimestamp(`${batch.acceptedAtUs}`),
      ...(pipelineVersion !== undefined && { pipelineVersion }),
      batch: {
        batchId: formatUuid(batch.batchId),
        ordinal: place,
        epoch: origin?.epoch ?? 0n,
        rawSequence: origin?.sequence ?? 0n,
        replayOf:
          letterOrdinal === undefined
            ? ""
            : formatLetterId({ batchId: formatUuid(batch.replayOf), ordinal: letterOrdinal }),
      },
      waiting,
    });
  });
}
