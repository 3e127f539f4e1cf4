/**
 * The headers of gRPC calls as HTTP/2 carries them (HPACK, RFC 7541), encoded once per method and key instead of once
 * per call. Like any client, a connection tells the server its headers once and refers to them after that.
 */

/** Encoded headers of the calls of one method on one connection. */
export interface CallHeaders {
  /** For a connection's first call: the server notes them in its table. */
  first: Buffer;
  /** For the others: places in that table. */
  next: Buffer;
}

// Places in HPACK's static table, appendix A.
const STATIC = { authority: 1, methodPost: 3, path: 4, schemeHttp: 6, authorization: 23, contentType: 31 };
const INDEXED = 0x80;
const NOTED = 0x40;
const NEVER_NOTED = 0x10;
const FIRST_NOTED = 62;

/** @param path such as "/chowhound.v1.IngestionService/Ingest" */
export function encodeCallHeaders(path: string, authority: string): CallHeaders {
  const known = [INDEXED | STATIC.methodPost, INDEXED | STATIC.schemeHttp];
  const noted = [
    Buffer.concat([Buffer.from([NOTED | STATIC.path]), text(path)]),
    Buffer.concat([Buffer.from([NOTED | STATIC.authority]), text(authority)]),
    Buffer.concat([Buffer.from([NOTED | STATIC.contentType]), text("application/grpc")]),
    Buffer.concat([Buffer.from([NOTED]), text("te"), text("trailers")]),
  ];
  // The newest comes first in the table.
  const places = noted.map((_, i) => INDEXED | (FIRST_NOTED + noted.length - 1 - i));
  return {
    first: Buffer.concat([Buffer.from(known), ...noted]),
    next: Buffer.from([...known, ...places]),
  };
}

/** The header with the key. A secret is never put in a table. */
export function encodeAuthorization(key: string): Buffer {
  // An index of 4 bits, all set, and the rest of it.
  const name = [NEVER_NOTED | 0xf, STATIC.authorization - 0xf];
  return Buffer.concat([Buffer.from(name), text(`Bearer ${key}`)]);
}

/** "grpc-status" with Huffman's code and without. */
const STATUS_NAMES = [Buffer.from("889acac8b21234da8f", "hex"), text("grpc-status")];

/**
 * The gRPC status in the trailers, undefined where there is none. It looks for the header's name and needs no table: we ask the
 * server to use none, and one or two digits are never shorter in Huffman's code.
 */
export function readStatus(block: Buffer): number | undefined {
  for (const name of STATUS_NAMES) {
    const at = block.indexOf(name);
    if (at === -1) continue;
    const start = at + name.length + 1;
    return Number(block.toString("latin1", start, start + block[start - 1]!));
  }
  return undefined;
}

/** A string literal: its length in 7 bits and more, then the bytes. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  const length: number[] = [];
  let rest = bytes.length;
  if (rest < 0x7f) {
    length.push(rest);
  } else {
    length.push(0x7f);
    for (rest -= 0x7f; rest >= 0x80; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}
