import { readFileSync } from "node:fs";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { AUDIT_REASONS, CALL_ERRORS, DEAD_REASONS, RECORD_REASONS } from "./reasons.ts";

const page = readFileSync(new URL("../../../../docs/errors.md", import.meta.url), "utf8");

const auditPage = readFileSync(new URL("../../../../docs/audit.md", import.meta.url), "utf8");

/** The `###` headings of a `##` section, each with its text. */
function entriesOf(section: string, text = page): Map<string, string> {
  const part = text.split(/^## /m).find((candidate) => candidate.startsWith(`${section}\n`)) ?? "";
  const entries = part.split(/^### /m).slice(1);
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
    const all = [...Object.keys(CALL_ERRORS), ...RECORD_REASONS, ...DEAD_REASONS, ...AUDIT_REASONS];
    expect(new Set(all).size).toBe(all.length);
  });
});

describe("docs/audit.md", () => {
  const findings = entriesOf("Findings", auditPage);

  it("has every finding as a heading, in the order of the code, and nothing else", () => {
    expect([...findings.keys()]).toEqual([...AUDIT_REASONS]);
  });

  it.each([...findings])("says what to do about %s", (_id, text) => {
    expect(text).toContain("**What to do:**");
  });
});
