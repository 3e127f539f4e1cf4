import type { ByteWriter } from "./byte-writer.ts";

const COMMA = 0x2c;
const FEW_MEMBERS = 12;
const BRACE = { open: 0x7b, close: 0x7d } as const;

/** A member of an object that is being written. */
export interface Member {
  /** The key in the source, UTF-8. */
  keyStart: number;
  keyEnd: number;
  /** The same in the writer, as `"key":`. */
  nameStart: number;
  nameEnd: number;
  /** The value in the writer, as JSON. */
  valueStart: number;
  valueEnd: number;
}

/** Begins a JSON object. Returns where it starts, for `closeObject`. */
export function openObject(out: ByteWriter): number {
  out.byte(BRACE.open);
  return out.length - 1;
}

/** What stands before a member; then come its name and its value. */
export function openMember(out: ByteWriter, before: readonly Member[]): void {
  if (before.length > 0) out.byte(COMMA);
}

/**
 * How objects are written: `sorted`, so that equal ones are equal text; or as they come, also keys that come twice, for readers
 * that take the last.
 */
export type MemberOrder = "sorted" | "as-is";

/**
 * Ends the object that starts at `start`; sorted, with its keys by UTF-16 code units, and of a key that came twice the
 * last member counts. The members lie in the writer in the order in which the source had them, so that they could be
 * checked in that order; most often it is the right one, or else they are put in order here.
 */
export function closeObject(
  out: ByteWriter,
  start: number,
  members: Member[],
  source: Buffer,
  order: MemberOrder,
): void {
  if (order === "sorted" && !areInPlace(start, members, source)) {
    sortMembers(members, source);
    rewrite(out, start, members, source);
  }
  out.byte(BRACE.close);
}

/** Whether the members lie one behind the other, and in order. */
function areInPlace(start: number, members: readonly Member[], source: Buffer): boolean {
  let end = start;
  for (let i = 0; i < members.length; i++) {
    const member = members[i]!;
    // One byte between: the brace, or a comma.
    if (member.nameStart !== end + 1 || member.valueStart !== member.nameEnd) return false;
    if (i > 0 && compareKeys(source, members[i - 1]!, member) >= 0) return false;
    end = member.valueEnd;
  }
  return true;
}

/** By insertion where there are few: Array.sort takes longer to begin than to sort so many. */
function sortMembers(members: Member[], source: Buffer): void {
  if (members.length > FEW_MEMBERS) {
    members.sort((a, b) => compareKeys(source, a, b));
    return;
  }
  for (let i = 1; i < members.length; i++) {
    const member = members[i]!;
    let at = i;
    for (; at > 0 && compareKeys(source, members[at - 1]!, member) > 0; at--) members[at] = members[at - 1]!;
    members[at] = member;
  }
}

/** Writes the sorted members behind what is there, and moves them to where they belong. */
function rewrite(out: ByteWriter, start: number, members: readonly Member[], source: Buffer): void {
  const from = out.length;
  for (let i = 0; i < members.length; i++) {
    const member = members[i]!;
    const next = members[i + 1];
    if (next !== undefined && compareKeys(source, member, next) === 0) continue;
    if (out.length > from) out.byte(COMMA);
    out.repeat(member.nameStart, member.nameEnd);
    out.repeat(member.valueStart, member.valueEnd);
  }
  out.buffer.copyWithin(start + 1, from, out.length);
  out.length = start + 1 + out.length - from;
}

/**
 * Compares two keys by their UTF-16 code units. That is the order of their UTF-8 bytes, but for one thing: a character
 * beyond U+FFFF, of four bytes from 0xf0 on, comes as surrogates, which are before U+E000, of three bytes from 0xee on.
 */
function compareKeys(source: Buffer, a: Member, b: Member): number {
  const lengthA = a.keyEnd - a.keyStart;
  const lengthB = b.keyEnd - b.keyStart;
  const length = Math.min(lengthA, lengthB);
  for (let i = 0; i < length; i++) {
    const byteA = source[a.keyStart + i]!;
    const byteB = source[b.keyStart + i]!;
    if (byteA === byteB) continue;
    const isSwapped = byteA >= 0xee && byteB >= 0xee && byteA >= 0xf0 !== byteB >= 0xf0;
    return isSwapped ? byteB - byteA : byteA - byteB;
  }
  return lengthA - lengthB;
}
