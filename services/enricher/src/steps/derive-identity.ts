import { createHash } from "node:crypto";
import { z } from "zod";
import type { JsonValue } from "../record-draft.ts";
import { readableField } from "./field-path.ts";
import { defineStep, done, failed } from "./step.ts";

/** Builds data_id, the record's key within its source, from fields of the record. */
export const deriveIdentityStep = defineStep({
  name: "derive_identity",
  schema: z.strictObject({
    from: z.array(readableField).min(1),
    hash: z.boolean().default(false),
  }),
  compile: ({ from, hash }) => {
    return (draft) => {
      const parts: string[] = [];
      for (const field of from) {
        const part = toText(draft.read(field));
        if (part === undefined)
          return failed("identity_missing", `${field.text} is missing or not a plain value`);
        parts.push(part);
      }
      const identity = joinParts(parts);
      draft.set("dataId", hash ? createHash("sha256").update(identity).digest("hex") : identity);
      return done;
    };
  },
});

/** Joins with `:`. A `:` or `%` inside a part is written as in URLs, so different parts never give the same key. */
export function joinParts(parts: readonly string[]): string {
  return parts.map((part) => part.replaceAll("%", "%25").replaceAll(":", "%3A")).join(":");
}

function toText(value: JsonValue | undefined): string | undefined {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}
