import { once } from "node:events";
import { connect, type Socket } from "node:net";

const READ_BYTES = 256 * 1024;

/** A TCP socket that reads into one buffer, and sends what is written in one turn of the event loop in one piece. */
export class TurnSocket {
  /** Resolves when it is connected; rejects when that fails. */
  readonly connected: Promise<unknown>;
  readonly #socket: Socket;
  #isCorked = false;

  /** @param handlers told of bytes, which are valid until `onBytes` returns, and of the end, whatever brought it */
  constructor(host: string, port: number, handlers: { onBytes(bytes: Uint8Array): void; onClose(): void }) {
    const onread = {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback: (length: number, buffer: Uint8Array): boolean => {
        handlers.onBytes(buffer.subarray(0, length));
        return true;
      },
    };
    this.#socket = connect({ host, port, noDelay: true, onread });
    this.connected = once(this.#socket, "connect");
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => handlers.onClose());
  }

  /** The bytes are to stay as they are until they have left. */
  write(bytes: Uint8Array): void {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
