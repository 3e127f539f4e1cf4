import type { Protocol } from "./frames.ts";

/** Any protocol, for faults that are aimed at no message: whatever arrives together is a frame. */
export const anyProtocol: Protocol = () => ({
  push: (chunk) => [{ bytes: chunk, label: "", payload: Buffer.alloc(0) }],
});
