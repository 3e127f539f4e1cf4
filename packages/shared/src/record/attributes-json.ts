import type { ByteWriter } from "./byte-writer.ts";
import { closeObject, type Member, type MemberOrder, openMember, openObject } from "./json-object.ts";
import type { RecordView } from "./record-view.ts";
import { writeName, writeText } from "./struct-json.ts";

/** The canonical JSON of attributes: keys sorted by UTF-16 code units, no spaces. */
export function attributesToJson(attributes: Record<string, string>): string {
  const keys = Object.keys(attributes);
  if (keys.length === 0) return "{}";
  keys.sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(attributes[key])}`).join(",")}}`;
}

/** The same, as UTF-8 into `out`, of a record's attributes. Throws WireError, or StructError where a text is none. */
export function writeAttributes(out: ByteWriter, view: RecordView, order: MemberOrder = "sorted"): void {
  const at = openObject(out);
  const members: Member[] = [];
  for (let index = 0; index < view.attributeCount; index++) {
    const { start1, end1, start2, end2 } = view.attributeAt(index);
    openMember(out, members);
    const nameStart = out.length;
    writeName(out, view.bytes, start1, end1);
    const valueStart = out.length;
    writeText(out, view.bytes, start2, end2);
    members.push({
      keyStart: start1,
      keyEnd: end1,
      nameStart,
      nameEnd: valueStart,
      valueStart,
      valueEnd: out.length,
    });
  }
  closeObject(out, at, members, view.bytes, order);
}
