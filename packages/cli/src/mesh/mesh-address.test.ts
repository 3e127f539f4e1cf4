import { expect, test } from "vitest";
import { UsageError } from "../cli-error.ts";
import { parseAddress, parseAdminAddresses } from "./mesh-address.ts";

test.each([
  ["127.0.0.1:24690", "http://127.0.0.1:24690"],
  ["mesh.example:80", "http://mesh.example"],
  ["[::1]:24690", "http://[::1]:24690"],
  ["http://mesh.example:8080/", "http://mesh.example:8080"],
  ["https://mesh.example", "https://mesh.example"],
])("%s is an address", (text, url) => {
  expect(parseAddress(text, "--gateway")).toBe(url);
});

test.each(["", "mesh.example", "24690", ":24690", "nats://mesh.example:4222", "mesh.example:port"])(
  "%j is no address, and the error says where it stands",
  (text) => {
    expect(() => parseAddress(text, "CHOWHOUND_GATEWAY")).toThrow(UsageError);
    expect(() => parseAddress(text, "CHOWHOUND_GATEWAY")).toThrow(/^CHOWHOUND_GATEWAY: /);
  },
);

test("admin addresses without a service belong to the one before them", () => {
  expect(parseAdminAddresses("store=a:1,b:2, dedup=https://c", "--admin")).toEqual([
    { service: "store", url: "http://a:1" },
    { service: "store", url: "http://b:2" },
    { service: "dedup", url: "https://c" },
  ]);
});

test("an admin address needs a service", () => {
  expect(() => parseAdminAddresses("a:1", "--admin")).toThrow('--admin: "a:1" names no service');
});
