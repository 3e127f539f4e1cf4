import { z } from "zod";
import type { JsonValue } from "../record-draft.ts";
import { type WritablePath, writableEntries } from "./field-path.ts";
import { isEmpty } from "./is-empty.ts";
import { defineStep, done, failed } from "./step.ts";

/** Writes constants into fields. */
export const setStep = defineStep({
  name: "set",
  schema: z.strictObject({
    values: writableEntries<JsonValue>(z.json()).superRefine(checkTypes),
    only_if_empty: z.boolean().default(false),
  }),
  compile: ({ values, only_if_empty: onlyIfEmpty }) => {
    return (draft) => {
      for (const [field, value] of values) {
        if (onlyIfEmpty && !isEmpty(draft.read(field))) continue;
        if (!draft.write(field, value)) {
          return failed("set_type_mismatch", `${field.text}: something other than an object is in the way`);
        }
      }
      return done;
    };
  },
});

function checkTypes(entries: [WritablePath, JsonValue][], context: z.RefinementCtx): void {
  if (entries.length === 0) context.addIssue("nothing to set");
  for (const [field, value] of entries) {
    if (field.kind === "metadata" ? field.keys.length > 0 : typeof value === "string") continue;
    const message =
      field.kind === "text" || (field.kind === "attributes" && field.name !== undefined)
        ? `'${field.text}' holds text: quote the value`
        : `'${field.text}' can only be set key by key`;
    context.addIssue({ code: "custom", message, path: [field.text] });
  }
}
