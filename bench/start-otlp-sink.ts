import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** What has come in so far. */
export interface Received {
  requests: number;
  bytes: number;
}

/** A receiver of OTLP in a process of its own. */
export interface OtlpSink {
  pid: number;
  url: string;
  received(): Promise<Received>;
  stop(): Promise<void>;
}

export async function startOtlpSink(): Promise<OtlpSink> {
  const child = spawn(process.execPath, [fileURLToPath(new URL("otlp-sink.ts", import.meta.url))], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const failed = ended.then(() => {
    throw new Error("the receiver of OTLP did not start");
  });
  const [port] = await Promise.race([once(child.stdout, "data"), failed]);
  failed.catch(() => {});
  const url = `http://127.0.0.1:${String(port).trim()}`;
  return {
    pid: child.pid!,
    url,
    received: async () => (await (await fetch(url)).json()) as Received,
    stop: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
