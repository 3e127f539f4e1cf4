import { z } from "zod";
import { readableField } from "./field-path.ts";
import { isEmpty } from "./is-empty.ts";
import { defineStep, done, failed } from "./step.ts";

/** Refuses records in which one of the fields is absent or empty. */
export const requireStep = defineStep({
  name: "require",
  schema: z.strictObject({ fields: z.array(readableField).min(1) }),
  compile: ({ fields }) => {
    return (draft) => {
      const missing = fields.find((field) => isEmpty(draft.read(field)));
      return missing === undefined ? done : failed("required_field_missing", `${missing.text} is missing`);
    };
  },
});
