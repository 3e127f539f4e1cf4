import { RECORD_FIELD, type RecordView } from "./record-view.ts";

const MAX_CODE_UNIT = 0xffff;

/**
 * A record's source as it stands on the wire, as a text: different sources give different texts. Written in several ways, one
 * source gives several; so it serves to find again what was made of a source, at a fraction of what its names would cost.
 */
export function writtenSource(view: RecordView): string {
  const { sourceType, sourceId } = RECORD_FIELD;
  const typeBytes = view.byteLength(sourceType);
  const gap = view.start(sourceId) - view.end(sourceType);
  // One behind the other, with nothing between but tag and length, as nearly everybody writes them.
  if ((gap === 2 || gap === 3) && typeBytes > 0 && typeBytes <= MAX_CODE_UNIT)
    // Without the first length a name could pretend to hold the end of one and the beginning of the other.
    return (
      String.fromCharCode(typeBytes) +
      view.bytes.toString("latin1", view.start(sourceType), view.end(sourceId))
    );
  const type = view.bytes.toString("latin1", view.start(sourceType), view.end(sourceType));
  const id = view.bytes.toString("latin1", view.start(sourceId), view.end(sourceId));
  return `\0${type.length}:${type}${id}`;
}
