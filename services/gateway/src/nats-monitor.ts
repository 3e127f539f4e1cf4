/** When a NATS server forces to the disk what it has written. */
export type SyncFact =
  | { kind: "always" }
  | { kind: "periodic"; intervalMs: number }
  | { kind: "unknown"; why: string };

const TIMEOUT_MS = 2_000;
const NANOS_PER_MS = 1e6;

/**
 * Asks the monitoring port of a NATS server who it is and when it syncs; JetStream's API doesn't tell. Servers tell from
 * 2.10 on, where the setting came. Rejects where nothing like a NATS server answers.
 *
 * @param url such as "http://nats:8222"; may have a path, and user and password for a proxy
 */
export async function askMonitor(url: string): Promise<{ server: string; sync: SyncFact }> {
  const varz = new URL("varz", url.endsWith("/") ? url : `${url}/`);
  const credentials = `${decodeURIComponent(varz.username)}:${decodeURIComponent(varz.password)}`;
  varz.username = "";
  varz.password = "";
  const response = await fetch(varz, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(credentials !== ":" && {
      headers: { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` },
    }),
  }).catch((error: Error) => {
    throw new Error((error.cause as Error | undefined)?.message || error.message, { cause: error });
  });
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  const answer = (await response.json().catch(() => undefined)) as Varz | undefined;
  if (typeof answer?.server_name !== "string") throw new Error("the answer is none of a NATS server");
  return { server: answer.server_name, sync: readSync(answer) };
}

/** The part of /varz that is read; none of it is certain. */
interface Varz {
  server_name?: unknown;
  jetstream?: { config?: { sync_always?: unknown; sync_interval?: unknown } };
}

function readSync({ jetstream }: Varz): SyncFact {
  if (jetstream?.config?.sync_always === true) return { kind: "always" };
  const interval = jetstream?.config?.sync_interval;
  if (typeof interval === "number") return { kind: "periodic", intervalMs: interval / NANOS_PER_MS };
  return { kind: "unknown", why: "its monitoring doesn't tell" };
}
