const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

function fnv1a(hash: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, FNV_PRIME);
  // A zero byte ends each part, so that ("a", "bc") and ("ab", "c") differ.
  return Math.imul(hash, FNV_PRIME);
}

/**
 * The partition of a record: FNV-1a (32 bits) over tenant, source_type and source_id in UTF-8, each followed by a zero
 * byte, modulo the number of partitions. All records of one source go the same way.
 */
export function partitionOf(
  tenantId: string,
  source: { readonly sourceType: Uint8Array; readonly sourceId: Uint8Array },
  partitions: number,
): number {
  if (partitions === 1) return 0;
  const { sourceType, sourceId } = source;
  const hash = fnv1a(fnv1a(fnv1a(FNV_OFFSET, Buffer.from(tenantId)), sourceType), sourceId);
  return (hash >>> 0) % partitions;
}
