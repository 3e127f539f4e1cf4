import { connect } from "@nats-io/transport-node";
import { expect, inject, test, vi } from "vitest";
import { createLogger } from "../runtime/logger.ts";
import { listen } from "./listen.ts";

const log = createLogger("test", "error");

test("hears messages, also after the server has ended its subscription", async () => {
  const nc = await connect({ servers: inject("natsUrl") });
  const subject = `test-${crypto.randomUUID()}`;
  const subscribe = vi.spyOn(nc, "subscribe");
  const heard: string[] = [];
  const listening = listen(nc, subject, { log, onMessage: (message) => heard.push(message.string()) });
  const say = async (text: string) => {
    nc.publish(subject, text);
    await vi.waitFor(() => expect(heard).toContain(text), 5_000);
  };
  await say("one");
  // What the client does where the server says that there is no permission (any more).
  const [, { callback }] = subscribe.mock.calls[0]! as unknown as [string, { callback(error: Error): void }];
  callback(new Error("permissions violation"));
  (subscribe.mock.results[0]!.value as { unsubscribe(): void }).unsubscribe();
  await vi.waitFor(() => expect(subscribe).toHaveBeenCalledTimes(2), 5_000);
  await say("two");
  expect(heard).toEqual(["one", "two"]);
  await listening.stop();
  await nc.close();
});
