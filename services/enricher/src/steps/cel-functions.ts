import {
  type CelList,
  type CelMap,
  CelScalar,
  type CelValue,
  celFunc,
  celMethod,
  isCelList,
  isCelMap,
} from "@bufbuild/cel";
import { strings } from "@bufbuild/cel/ext";
import { RE2JS } from "re2js";
import { maxResultCharacters } from "./cel-json.ts";

const { STRING, INT, DYN } = CelScalar;

/** How many elements `map`, `filter`, `all` and `exists` walk over at most; the library's lists need n² steps. */
export const maxListLength = 1000;

/** The function every comprehension's range goes through. Its name can't be written in an expression. */
export const boundedListFunction = "@bounded";

/** The library's string functions, `replace` in linear time, and the bound on lists. */
export const celFunctions = [
  ...strings,
  // The library's own takes time quadratic in the length of the text: seconds for 200 kB of commas.
  celMethod("replace", STRING, [STRING, STRING], STRING, function (search, replacement) {
    return replaceFirst(this, search, replacement, Number.POSITIVE_INFINITY);
  }),
  celMethod("replace", STRING, [STRING, STRING, INT], STRING, function (search, replacement, count) {
    return replaceFirst(this, search, replacement, count < 0n ? Number.POSITIVE_INFINITY : Number(count));
  }),
  celFunc(boundedListFunction, [DYN], DYN, (range) => {
    if (sizeOf(range) > maxListLength) throw new Error(`list longer than ${maxListLength}`);
    return range;
  }),
];

function replaceFirst(text: string, search: string, replacement: string, count: number): string {
  if (search === "") throw new Error("replace needs text to search for");
  const parts: string[] = [];
  let length = text.length;
  let position = 0;
  while (parts.length < count) {
    const found = text.indexOf(search, position);
    if (found === -1) break;
    parts.push(text.slice(position, found));
    position = found + search.length;
    length += replacement.length - search.length;
    if (length > maxResultCharacters) throw new Error("the result is too large");
  }
  parts.push(text.slice(position));
  return parts.join(replacement);
}

function sizeOf(value: CelValue): number {
  return isCelList(value) || isCelMap(value) ? (value as CelList | CelMap).size : 0;
}

const compiledPatterns = new Map<string, RE2JS>();

/** A regular expression for linear-time matching, compiled once. Grows with the patterns of pipelines, not of records. */
export function compilePattern(pattern: string): RE2JS {
  const compiled = compiledPatterns.get(pattern) ?? RE2JS.compile(pattern);
  compiledPatterns.set(pattern, compiled);
  return compiled;
}
