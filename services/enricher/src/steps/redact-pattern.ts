import { RE2JS } from "re2js";
import { z } from "zod";
import type { Detector, Span } from "./detectors.ts";

/** How often a pattern may match in one text. */
export const maxPatternMatches = 1000;
const maxPatternLength = 512;

/** A pattern matched more often in one text than `maxPatternMatches`. */
export class TooManyMatchesError extends Error {
  override readonly name = "TooManyMatchesError";
}

/**
 * An RE2 regular expression as a detector that throws TooManyMatchesError. One search is linear, but a search for all
 * matches is one search per match, and each may run to the end of the text only to come back (`a.*b|a`). With matches of
 * bounded length, and a bounded number of them, the whole is linear too.
 */
export const redactPattern = z
  .string()
  .min(1)
  .max(maxPatternLength)
  .refine((text) => !hasUnboundedRepetition(text), "say how long a match can get: {0,40} for *, {1,40} for +")
  .transform((text, context): Detector => {
    try {
      return patternDetector(RE2JS.compile(text));
    } catch (error) {
      context.addIssue(`not an RE2 regular expression: ${(error as Error).message}`);
      return z.NEVER;
    }
  });

function patternDetector(compiled: RE2JS): Detector {
  return (text) => {
    const spans: Span[] = [];
    const matcher = compiled.matcher(text);
    while (matcher.find()) {
      if (spans.length === maxPatternMatches) throw new TooManyMatchesError();
      spans.push({ start: matcher.start(), end: matcher.end() });
    }
    return spans;
  };
}

/** Whether *, + or {n,} occurs outside of quotes (\Q…\E), escapes and character classes. */
function hasUnboundedRepetition(pattern: string): boolean {
  const withoutEscapes = pattern.replace(/\\Q[\s\S]*?(?:\\E|$)|\\[\s\S]/g, "_");
  const withoutClasses = withoutEscapes.replace(/\[\^?\]?(?:\[:\^?\w+:\]|[^\]])*\]/g, "_");
  return /[*+]|\{\d+,\}/.test(withoutClasses);
}
