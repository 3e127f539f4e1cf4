import { setTimeout as sleep } from "node:timers/promises";

/** Asks again until there is an answer; throws what the last attempt threw where that takes too long. */
export async function poll<T>(attempt: () => Promise<T>, timeoutMs = 60_000): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      await sleep(500);
    }
  }
}

/** The JSON that a GET answers with. Throws where it is refused. */
export async function getJson<T>(url: URL): Promise<T> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text.slice(0, 500)}`);
  return JSON.parse(text) as T;
}
