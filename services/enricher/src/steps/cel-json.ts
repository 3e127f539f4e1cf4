import { type CelInput, type CelValue, isCelList, isCelMap, isCelUint } from "@bufbuild/cel";
import { isJsonObject, type JsonValue } from "../record-draft.ts";

/** An expression's result may not be larger: a few doublings in a row would otherwise fill the memory. */
export const maxResultCharacters = 1024 * 1024;
export const maxResultValues = 10_000;

/** The result of an expression can't be kept in a record. */
export class CelResultError extends Error {
  override readonly name = "CelResultError";
}

/** JSON as CEL takes it: objects as maps, numbers as doubles. */
export function toCel(value: JsonValue): CelInput {
  if (Array.isArray(value)) return value.map(toCel);
  if (isJsonObject(value)) return new Map(Object.entries(value).map(([key, entry]) => [key, toCel(entry)]));
  return value as null | boolean | number | string;
}

/** A CEL value as JSON. An integer that JSON numbers can't hold exactly becomes text. Throws CelResultError. */
export function fromCel(value: CelValue): JsonValue {
  const size = { values: 0, characters: 0 };
  const text = (string: string): string => {
    size.characters += string.length;
    if (size.characters > maxResultCharacters) throw new CelResultError("the result is too large");
    // CEL counts in UTF-16 units: a substring may end in half a character.
    return string.toWellFormed();
  };
  const convert = (value: CelValue): JsonValue => {
    size.values += 1;
    if (size.values > maxResultValues) throw new CelResultError("the result is too large");
    if (value === null || typeof value === "boolean") return value;
    if (typeof value === "string") return text(value);
    if (typeof value === "bigint") return fromInteger(value);
    if (isCelUint(value)) return fromInteger(value.value);
    if (typeof value === "number") {
      if (!Number.isFinite(value)) throw new CelResultError("the result is not a finite number");
      return value;
    }
    if (isCelList(value)) return Array.from(value, convert);
    if (isCelMap(value)) {
      return Object.fromEntries(
        Array.from(value, ([key, entry]) => [
          text(isCelUint(key) ? `${key.value}` : `${key}`),
          convert(entry),
        ]),
      );
    }
    throw new CelResultError("the result is not a JSON value; use string(…)");
  };
  return convert(value);
}

function fromInteger(value: bigint): JsonValue {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}
