import type { IncomingMessage } from "node:http";
import { CallError } from "@chowhound/shared/errors/call-error";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Compression, compressedFlag } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";

/** The encodings of a body that are understood, besides identity. */
export const COMPRESSIONS: Compression[] = [compressionGzip, compressionBrotli];

const ENVELOPE_BYTES = 5;

/**
 * Reads the message of a unary call, decompressed: at most `maxBytes` of the body, and at most as many decompressed.
 * Throws CallError call_too_large or malformed_request.
 *
 * @param isEnveloped the body is that of gRPC-Web: the message has a prefix of its flags and its length
 */
export async function readMessage(
  request: IncomingMessage,
  isEnveloped: boolean,
  maxBytes: number,
): Promise<Uint8Array> {
  const encoding = request.headers[isEnveloped ? "grpc-encoding" : "content-encoding"];
  const compression = COMPRESSIONS.find(({ name }) => name === encoding);
  const body = await readBody(request, maxBytes);
  if (isEnveloped) {
    const { message, isCompressed } = unwrap(body);
    return isCompressed ? decompress(message, compression, maxBytes) : message;
  }
  return compression === undefined ? body : decompress(body, compression, maxBytes);
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    // Not destroyed where it is too large: the caller is to get an answer.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      bytes += chunk.length;
      if (bytes > maxBytes) break;
      chunks.push(chunk);
    }
  } catch (cause) {
    throw new CallError("malformed_request", "the body is cut off", { cause });
  }
  if (bytes > maxBytes) {
    // What is left is let go by, or the connection could not be used again.
    request.resume();
    throw tooLarge(maxBytes);
  }
  return Buffer.concat(chunks, bytes);
}

function unwrap(body: Buffer): { message: Buffer; isCompressed: boolean } {
  const isWhole = body.length >= ENVELOPE_BYTES && body.readUInt32BE(1) === body.length - ENVELOPE_BYTES;
  if (!isWhole) throw new CallError("malformed_request", "the body is not one gRPC-Web message");
  return { message: body.subarray(ENVELOPE_BYTES), isCompressed: (body[0]! & compressedFlag) !== 0 };
}

async function decompress(
  message: Uint8Array,
  compression: Compression | undefined,
  maxBytes: number,
): Promise<Uint8Array> {
  if (compression === undefined)
    throw new CallError("malformed_request", "the message is compressed, and no header says how");
  try {
    return await compression.decompress(message as Uint8Array<ArrayBuffer>, maxBytes);
  } catch (cause) {
    if (ConnectError.from(cause).code === Code.ResourceExhausted) throw tooLarge(maxBytes);
    throw new CallError("malformed_request", `the body is not ${compression.name}`, { cause });
  }
}

function tooLarge(maxBytes: number): CallError {
  return new CallError(
    "call_too_large",
    `the call has more than ${maxBytes} bytes, decompressed; send several calls`,
    { metadata: { limit: `${maxBytes}` } },
  );
}
