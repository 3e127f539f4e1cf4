import { isJsonObject, type JsonValue } from "../record-draft.ts";

/** Whether a field counts as not filled in: absent, null, "", [] or {}. 0 and false are values. */
export function isEmpty(value: JsonValue | undefined): boolean {
  if (value === undefined || value === null || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return isJsonObject(value) && Object.keys(value).length === 0;
}
