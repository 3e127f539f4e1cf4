import { type Direction, type Frame, type Protocol, splitWith } from "./frames.ts";

const EMPTY = Buffer.alloc(0);

/** What the messages are called that a fault can be aimed at; the first string of their body belongs to the label. */
const NAMES: Record<Direction, Record<string, string>> = {
  toServer: { Q: "Query", P: "Parse", d: "CopyData", c: "CopyDone", X: "Terminate" },
  toClient: { C: "CommandComplete", Z: "ReadyForQuery", d: "CopyData" },
};

/**
 * PostgreSQL's protocol, without TLS: a type byte, a length, a body; what a client says first has no type. Labels are
 * "Query <sql>", "Bind <statement>", "CommandComplete <tag>"; messages that nobody aims at have their type as the label.
 */
export const postgresProtocol: Protocol = (direction) => {
  let isFirst = direction === "toServer";
  return splitWith((buffer) => {
    const lengthAt = isFirst ? 0 : 1;
    if (buffer.length < lengthAt + 4) return undefined;
    const end = lengthAt + buffer.readInt32BE(lengthAt);
    if (buffer.length < end) return undefined;
    const bytes = buffer.subarray(0, end);
    if (isFirst) {
      isFirst = false;
      return { bytes, label: "Startup", payload: EMPTY };
    }
    return describe(direction, bytes);
  });
};

function describe(direction: Direction, bytes: Buffer): Frame {
  const type = String.fromCharCode(bytes[0]!);
  const payload = bytes.subarray(5);
  if (direction === "toServer" && type === "B") {
    const [, statement = ""] = payload.toString("latin1").split("\0", 2);
    return { bytes, label: `Bind ${statement}`, payload };
  }
  const name = NAMES[direction][type] ?? type;
  const hasText = ["Query", "Parse", "CommandComplete"].includes(name);
  return { bytes, label: hasText ? `${name} ${payload.toString("utf8").split("\0", 1)[0]}` : name, payload };
}
