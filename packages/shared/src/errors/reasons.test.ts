import { readFileSync } from "node:fs";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { CALL_ERRORS, DEAD_REASONS, RECORD_REASONS } from "./reasons.ts";

const page = readFileSync(new URL("../../../../docs/errors.md", import.meta.url), "utf8");

/** The `###` headings of a `##` section, each with its text. */
function entriesOf(section: string): Map<string, string> {
  const text = page.split(/^## /m).find((part) => part.startsWith(`${section}\n`)) ?? "";
  const entries = text.split(/^### /m).slice(1);
  return new Map(entries.map((entry) => [entry.split("\n", 1)[0]!, entry]));
}

const calls = entriesOf("Errors of a call");
const records = entriesOf("Reasons of a rejected record");
const deadLetters = entriesOf("Reasons of a dead letter");

describe("docs/errors.md", () => {
  it("has every identifier as a heading, in its section and in the order of the code, and nothing else", () => {
    expect([...calls.keys()]).toEqual(Object.keys(CALL_ERRORS));
    expect([...records.keys()]).toEqual([...RECORD_REASONS]);
    expect([...deadLetters.keys()]).toEqual([...DEAD_REASONS]);
    expect(page.match(/^### /gm)).toHaveLength(calls.size + records.size + deadLetters.size);
  });

  it.each(Object.entries(CALL_ERRORS))("begins %s with its gRPC code", (id, code) => {
    expect(calls.get(id)).toMatch(new RegExp(`^${id}\n\n\`${status[code]}\`[.,]`));
  });

  it.each([...calls, ...records, ...deadLetters])("has a remedy for %s", (_id, text) => {
    expect(text).toContain("**Remedy");
  });

  it.each([...deadLetters])("names the stage of %s", (_id, text) => {
    expect(text).toMatch(/^Stage: (enricher|store)/m);
  });

  it("has each identifier once: it means one thing", () => {
    const all = [...Object.keys(CALL_ERRORS), ...RECORD_REASONS, ...DEAD_REASONS];
    expect(new Set(all).size).toBe(all.length);
  });
});
