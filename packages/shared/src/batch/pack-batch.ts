import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { fieldNumber, WIRE_BYTES, WIRE_VARINT, WireError, WireReader } from "../record/wire.ts";
import { WireWriter } from "../record/wire-writer.ts";

/** The layout of a batch of which fields are packed. */
export const PACKED_ENVELOPE_VERSION = 3;

// The numbers of the fields on the wire; proto/chowhound/internal/v1/record_batch.proto is their source.
const FIELD = {
  envelopeVersion: 1,
  partition: 4,
  acceptedCount: 5,
  fingerprints: 24,
  packed: 40,
  unpackedBytes: 41,
} as const;
const NONE = new Uint8Array(0);

/** Below this it takes longer to begin and end with zstd, three times, than there is to win. */
const MIN_BYTES = 48 * 1024;
/** What doesn't become smaller than this part of itself is not worth being unpacked at every stage. */
const MAX_RATIO = 0.8;
/** No batch is larger: no message of NATS is. */
const MAX_UNPACKED_BYTES = 64 * 1024 * 1024;
/** Of zstd's levels one of the quickest: higher ones take longer than they spare. */
const LEVEL = 1;

/**
 * The message to publish for an encoded RecordBatch: packed where that makes it much smaller. Bytes are what a batch costs between
 * the stages: each is written, stored and read again three times.
 */
export function packBatch(
  batch: Uint8Array,
  { partition, acceptedCount }: Pick<RecordBatch, "partition" | "acceptedCount">,
): Uint8Array {
  if (batch.length < MIN_BYTES) return batch;
  const packed = released(
    zstdCompressSync(batch, {
      params: { [constants.ZSTD_c_compressionLevel]: LEVEL },
      // In one piece, mostly; beyond that it hardly pays to pack at all.
      chunkSize: batch.length >> 1,
      info: true,
    }),
  );
  if (packed.length > MAX_RATIO * batch.length) return batch;
  const out = new WireWriter(packed.length + 32);
  out.integer(FIELD.envelopeVersion, PACKED_ENVELOPE_VERSION);
  out.integer(FIELD.partition, partition);
  out.integer(FIELD.acceptedCount, acceptedCount);
  out.bytes(FIELD.packed, packed);
  out.integer(FIELD.unpackedBytes, batch.length);
  return out.written;
}

/** What can be told of a packed batch without unpacking it. */
export interface PackedBatch {
  packed: Uint8Array;
  unpackedBytes: number;
  partition: number;
  /** 0 where older software has packed it. */
  acceptedCount: number;
  /** Empty before the enricher. */
  fingerprints: Uint8Array;
}

/** Reads what stands beside the packed batch; undefined where a message has another layout. Throws WireError. */
export function peekPacked(message: Uint8Array): PackedBatch | undefined {
  let envelopeVersion = 0;
  const found: PackedBatch = {
    packed: NONE,
    unpackedBytes: 0,
    partition: 0,
    acceptedCount: 0,
    fingerprints: NONE,
  };
  const reader = new WireReader(message);
  while (!reader.done) {
    const tag = reader.uint32();
    const number = fieldNumber(tag);
    const wireType = tag & 7;
    if (wireType === WIRE_BYTES) {
      const length = reader.length();
      const value = message.subarray(reader.pos, reader.pos + length);
      reader.pos += length;
      if (number === FIELD.packed) found.packed = value;
      else if (number === FIELD.fingerprints) found.fingerprints = value;
    } else if (wireType === WIRE_VARINT && number === FIELD.envelopeVersion)
      envelopeVersion = reader.uint32();
    else if (wireType === WIRE_VARINT && number === FIELD.partition) found.partition = reader.uint32();
    else if (wireType === WIRE_VARINT && number === FIELD.acceptedCount)
      found.acceptedCount = reader.uint32();
    else if (wireType === WIRE_VARINT && number === FIELD.unpackedBytes)
      found.unpackedBytes = reader.uint32();
    else reader.skip(wireType, number);
  }
  return envelopeVersion === PACKED_ENVELOPE_VERSION && found.packed.length > 0 ? found : undefined;
}

/** The batch that was packed. Throws WireError where it is none. */
export function unpackBatch({ packed, unpackedBytes }: PackedBatch): Uint8Array {
  if (unpackedBytes > MAX_UNPACKED_BYTES) throw new WireError(`a batch of ${unpackedBytes} bytes`);
  let batch: Buffer;
  try {
    batch = released(
      zstdDecompressSync(packed, {
        // In one piece.
        chunkSize: Math.max(unpackedBytes, constants.Z_MIN_CHUNK),
        maxOutputLength: MAX_UNPACKED_BYTES,
        info: true,
      }),
    );
  } catch (error) {
    throw new WireError(`what is packed is no zstd: ${(error as Error).message}`);
  }
  if (batch.length !== unpackedBytes)
    throw new WireError(`${batch.length} bytes were packed where ${unpackedBytes} were announced`);
  return batch;
}

/**
 * The result alone. Node keeps what compresses until the next full collection, as all that has a part outside of the heap, and with it the buffer
 * that the result is in: dozens of KB for each batch, which would bring that collection about.
 */
function released(result: Buffer): Buffer {
  // With `info`, which the types don't know.
  const { buffer, engine } = result as unknown as {
    buffer: Buffer;
    engine: { _outBuffer: Buffer | undefined };
  };
  engine._outBuffer = undefined;
  return buffer;
}
