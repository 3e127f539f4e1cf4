import { expect, test } from "vitest";
import { detectLanguageStep } from "./detect-language.ts";
import { draftOf, optionProblems, runStep } from "./draft-for-test.ts";

const german = "Das Wetter ist heute schön, und morgen soll es regnen.";

function langAfter(options: unknown, content: Parameters<typeof draftOf>[0]): string {
  const draft = draftOf(content);
  expect(runStep(detectLanguageStep, options, draft)).toEqual({ ok: true });
  return draft.get("lang");
}

test("fills in the language of data, or of another field", () => {
  expect(langAfter({}, { data: german })).toBe("de");
  const metadata = { readme: "The weather is nice today, and tomorrow it will rain." };
  expect(langAfter({ field: "metadata.readme" }, { data: german, metadata })).toBe("en");
});

test("keeps a language that is there, unless told to overwrite it", () => {
  expect(langAfter({}, { data: german, lang: "xx" })).toBe("xx");
  expect(langAfter({ overwrite: true }, { data: german, lang: "xx" })).toBe("de");
});

test.each([
  ["too short", {}, "Guten Morgen"],
  ["under the minimum length", { min_length: 1000 }, german],
  ["under the minimum confidence", { min_confidence: 1 }, german],
  ["no language", {}, "0123456789 0123456789 0123456789"],
  ["not a sentence", {}, "xkcd qwrtz 1.0.0 zzzzzzzzzz"],
  ["empty", {}, ""],
])("leaves lang empty: %s", (_, options, data) => {
  expect(langAfter(options, { data })).toBe("");
});

test("leaves lang empty if the field holds no text", () => {
  expect(langAfter({ field: "metadata.x" }, { metadata: { x: [german] } })).toBe("");
});

test("refuses bad options", () => {
  expect(optionProblems(detectLanguageStep, { field: "x", min_confidence: 2, min_length: 0.5 })).toHaveLength(
    3,
  );
});
