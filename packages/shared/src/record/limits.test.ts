import { describe, expect, test } from "vitest";
import { LIMITS, recordBytesLimit, TENANT_ID_PATTERN } from "./limits.ts";

describe("recordBytesLimit", () => {
  const KIB = 1024;

  test.each([
    ["the server's default of 1 MiB", 1024 * KIB, 480 * KIB],
    ["2 MiB", 2048 * KIB, 992 * KIB],
    ["8 MiB", 8192 * KIB, LIMITS.recordBytes],
    ["an odd number", 65 * KIB + 1, 512],
  ])("with %s", (_, maxPayloadBytes, expected) => {
    expect(recordBytesLimit(maxPayloadBytes)).toBe(expected);
  });

  test("leaves room for a record, as much again, and the envelope", () => {
    for (let maxPayload = 128 * KIB; maxPayload <= 8192 * KIB; maxPayload += 37_777)
      expect(2 * recordBytesLimit(maxPayload) + 64 * KIB).toBeLessThanOrEqual(maxPayload);
  });
});

test("the key fits an entry of a PostgreSQL index", () => {
  const { tenantIdBytes, sourceTypeBytes, sourceIdBytes, dataIdBytes } = LIMITS;
  expect(tenantIdBytes + sourceTypeBytes + sourceIdBytes + dataIdBytes).toBeLessThan(2_700);
});

test("a tenant's id", () => {
  for (const id of ["a", "acme", "a-b_c", "0", "a".repeat(LIMITS.tenantIdBytes)])
    expect(id).toMatch(TENANT_ID_PATTERN);
  for (const id of [
    "",
    "Acme",
    "-a",
    "_a",
    "a.b",
    "*",
    "a b",
    "ä",
    "a\n",
    "a".repeat(LIMITS.tenantIdBytes + 1),
  ])
    expect(id).not.toMatch(TENANT_ID_PATTERN);
});
