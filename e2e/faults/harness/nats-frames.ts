import { type Frame, type Protocol, splitWith } from "./frames.ts";

const LINE_END = "\r\n";

/**
 * The client protocol of NATS, without TLS: lines, some of them followed by a payload. Labels are the operation and the
 * subject ("PUB chowhound.raw.0", "MSG _INBOX.x.y"); with headers (HPUB, HMSG) they are the same, and so is the payload.
 */
export const natsProtocol: Protocol = () => splitWith(readNatsFrame);

function readNatsFrame(buffer: Buffer): Frame | undefined {
  const lineEnd = buffer.indexOf(LINE_END);
  if (lineEnd < 0) return undefined;
  const [operation = "", ...words] = buffer.toString("latin1", 0, lineEnd).split(/[ \t]+/);
  const name = operation.toUpperCase().replace(/^H(?=PUB|MSG)/, "");
  const payloadStart = lineEnd + LINE_END.length;
  if (name !== "PUB" && name !== "MSG") {
    return { bytes: buffer.subarray(0, payloadStart), label: name, payload: Buffer.alloc(0) };
  }
  const size = Number(words.at(-1));
  const headerSize = name === operation.toUpperCase() ? 0 : Number(words.at(-2));
  const end = payloadStart + size;
  if (buffer.length < end + LINE_END.length) return undefined;
  return {
    bytes: buffer.subarray(0, end + LINE_END.length),
    label: `${name} ${words[0]}`,
    payload: buffer.subarray(payloadStart + headerSize, end),
  };
}
