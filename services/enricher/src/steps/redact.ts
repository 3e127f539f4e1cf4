import { z } from "zod";
import { isJsonObject, type JsonValue } from "../record-draft.ts";
import { detectors, type Span } from "./detectors.ts";
import { writableField } from "./field-path.ts";
import { isEmpty } from "./is-empty.ts";
import { maxPatternMatches, redactPattern, TooManyMatchesError } from "./redact-pattern.ts";
import { defineStep, done, failed } from "./step.ts";

const detectorNames = Object.keys(detectors) as (keyof typeof detectors)[];

/** Takes what nobody should read out of the record: whole fields, and what detectors and patterns find in text. */
export const redactStep = defineStep({
  name: "redact",
  schema: z
    .strictObject({
      fields: z.array(writableField).default([]),
      action: z.enum(["remove", "mask"]).default("remove"),
      detect: z.array(z.enum(detectorNames)).default([]),
      patterns: z.array(redactPattern).max(16).default([]),
      in: z.array(writableField).min(1).prefault(["data", "metadata", "attributes"]),
      replacement: z.string().min(1).max(64).default("[redacted]"),
      drop_raw_payload: z.boolean().default(false),
    })
    .refine(
      ({ fields, detect, patterns, drop_raw_payload }) =>
        fields.length + detect.length + patterns.length > 0 || drop_raw_payload,
      "nothing to redact: give fields, detect, patterns or drop_raw_payload",
    ),
  compile: ({ fields, action, replacement, ...options }) => {
    const active = [...options.detect.map((name) => detectors[name]), ...options.patterns];
    const redactText = (text: string) =>
      replaceSpans(
        text,
        active.flatMap((detect) => detect(text)),
        replacement,
      );
    return (draft) => {
      for (const field of fields) {
        // There is nothing to mask in an empty field; one that can't hold the replacement must be emptied instead.
        const masked = action === "mask" && !isEmpty(draft.read(field)) && draft.write(field, replacement);
        if (!masked) draft.remove(field);
      }
      if (options.drop_raw_payload) draft.dropRawPayload = true;
      if (active.length === 0) return done;
      try {
        for (const field of options.in) {
          const value = draft.read(field);
          if (value !== undefined) draft.write(field, mapStrings(value, redactText));
        }
      } catch (error) {
        if (!(error instanceof TooManyMatchesError)) throw error;
        return failed(
          "redact_too_many_matches",
          `a pattern matches more than ${maxPatternMatches} times in one text`,
        );
      }
      return done;
    };
  },
});

/** All spans are found in the original text and replaced at once, so that no replacement hides or makes a match. */
function replaceSpans(text: string, spans: Span[], replacement: string): string {
  if (spans.length === 0) return text;
  let result = "";
  let position = 0;
  for (const { start, end } of spans.sort((a, b) => a.start - b.start)) {
    if (end <= position || start === end) continue;
    // Overlapping finds become one.
    if (start >= position) result += text.slice(position, start) + replacement;
    position = end;
  }
  return result + text.slice(position);
}

function mapStrings(value: JsonValue, change: (text: string) => string): JsonValue {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((entry) => mapStrings(entry, change));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, mapStrings(entry, change)]));
}
