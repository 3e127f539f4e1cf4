import type { PeerInfo, StreamInfo } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { isWhole } from "./topology.ts";

const copy = (fields: Partial<PeerInfo> = {}) =>
  ({ name: "n", current: true, active: 1, ...fields }) as PeerInfo;
const stream = (copies: number, replicas?: PeerInfo[]) =>
  ({ config: { num_replicas: copies }, cluster: replicas && { replicas } }) as StreamInfo;

test.each<[string, StreamInfo, boolean]>([
  ["one on a server alone", stream(1), true],
  ["three that are current", stream(3, [copy(), copy()]), true],
  ["one that catches up", stream(3, [copy(), copy({ current: false })]), false],
  ["one that is away", stream(3, [copy(), copy({ offline: true })]), false],
  ["one that nobody knows", stream(3, [copy()]), false],
  ["three, and no cluster that tells", stream(3), false],
])("the copies of a stream: %s", (_, info, expected) => {
  expect(isWhole(info)).toBe(expected);
});
