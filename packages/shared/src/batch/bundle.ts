import { fieldNumber, WIRE_BYTES, WIRE_VARINT, WireReader } from "../record/wire.ts";
import { WireWriter } from "../record/wire-writer.ts";

/** The layout of a message that holds several batches. */
export const BUNDLE_ENVELOPE_VERSION = 5;

// The numbers of the fields of BatchBundle; proto/chowhound/internal/v1/record_batch.proto is their source.
const FIELD = { envelopeVersion: 1, batches: 50 } as const;
/** What a batch takes in a bundle beside its own bytes, at most. */
export const BUNDLED_OVERHEAD_BYTES = 8;
/** Far more than anybody bundles. */
const MAX_BATCHES = 1_000;

/** The message to publish for these encoded batches, one or more: a single one as it is. */
export function bundleBatches(batches: readonly Uint8Array[]): Uint8Array {
  if (batches.length === 1) return batches[0]!;
  const bytes = batches.reduce((sum, { length }) => sum + length + BUNDLED_OVERHEAD_BYTES, 0);
  const out = new WireWriter(bytes + BUNDLED_OVERHEAD_BYTES);
  out.integer(FIELD.envelopeVersion, BUNDLE_ENVELOPE_VERSION);
  for (const batch of batches) out.element(FIELD.batches, batch);
  return out.written;
}

/** The encoded batches in a message, as views of it. A message that is no well-formed bundle is taken for one batch, and judged as such. */
export function unbundle(message: Uint8Array): readonly Uint8Array[] {
  return readBundle(message) ?? [message];
}

function readBundle(message: Uint8Array): Uint8Array[] | undefined {
  const batches: Uint8Array[] = [];
  try {
    const reader = new WireReader(message);
    // Whoever bundles writes the version first, and most messages are no bundles: one look tells.
    const isBundle =
      reader.uint32() === ((FIELD.envelopeVersion << 3) | WIRE_VARINT) &&
      reader.uint32() === BUNDLE_ENVELOPE_VERSION;
    if (!isBundle) return undefined;
    while (!reader.done) {
      const tag = reader.uint32();
      const number = fieldNumber(tag);
      const wireType = tag & 7;
      if (number !== FIELD.batches || wireType !== WIRE_BYTES) {
        reader.skip(wireType, number);
        continue;
      }
      const length = reader.length();
      batches.push(message.subarray(reader.pos, reader.pos + length));
      reader.pos += length;
      if (batches.length > MAX_BATCHES) return undefined;
    }
  } catch {
    return undefined;
  }
  return batches.length === 0 ? undefined : batches;
}
