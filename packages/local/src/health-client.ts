import { Client, credentials } from "@grpc/grpc-js";

/** Asks one process for its health. */
export interface HealthClient {
  /** False also where nobody answers. */
  isServing(): Promise<boolean>;
  close(): void;
}

/** A client of grpc.health.v1 for the health of a whole process. @param address such as "127.0.0.1:24694" */
export function createHealthClient(address: string): HealthClient {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 200,
  });
  // Two messages of one field each: the request is empty (no name: the whole process), field 1 of the answer is 1.
  const serving = Buffer.from([0x08, 0x01]);
  return {
    isServing: () =>
      new Promise((resolve) => {
        client.makeUnaryRequest(
          "/grpc.health.v1.Health/Check",
          (bytes: Buffer) => bytes,
          (bytes: Buffer) => bytes,
          Buffer.alloc(0),
          { deadline: Date.now() + 1_000 },
          (error, answer) => resolve(error === null && serving.equals(answer ?? Buffer.alloc(0))),
        );
      }),
    close: () => client.close(),
  };
}
