import type { JsonValue } from "@bufbuild/protobuf";
import type { RecordReason } from "@chowhound/shared/errors/reasons";

/** One record as it stands in its input. */
export type SourceRecord = Located & Reading;

/** Where a record stands. */
export interface Located {
  /** The line, from 1, on which it begins. */
  line: number;
  /** How many bytes of the input, unpacked and without a byte order mark, lie before the next record. */
  endBytes: number;
  /** As it stands there. Of one that is far too long, the beginning. */
  raw: Buffer;
}

/** What a record says, or why it can't be read. */
export type Reading = { json: JsonValue } | { rejection: Rejection };

/** Why a record is not taken: here or at the gateway, in the same words (docs/errors.md). */
export interface Rejection {
  reason: RecordReason;
  /** The field at fault, such as "metadata"; "" where it is the record as a whole. */
  field: string;
  /** What is wrong and how to mend it, for a person. */
  message: string;
}

/** Finds the records in the bytes of an input, however these are cut into chunks. */
export interface Splitter {
  /** The records that are complete with this chunk. */
  push(chunk: Buffer): SourceRecord[];
  /** What is left when the input has ended. */
  end(): SourceRecord[];
}

/** A record as text: more can't make a record that the mesh takes, whatever the escapes. */
export const MAX_RAW_BYTES = 8 * 1024 * 1024;

export function malformed(message: string, field = ""): { rejection: Rejection } {
  return { rejection: { reason: "malformed_record", field, message } };
}

export const NOT_UTF8: { rejection: Rejection } = {
  rejection: {
    reason: "invalid_utf8",
    field: "",
    message: "the record is not valid UTF-8; convert the file, for example with iconv -t utf-8",
  },
};
