import { z } from "zod";
import { CelExpressionError } from "./cel-check.ts";
import { type CelExpression, compileExpression } from "./cel-expression.ts";
import { writableEntries } from "./field-path.ts";
import { defineStep, done, failed } from "./step.ts";

const expression = z.string().transform((text, context): CelExpression => {
  try {
    return compileExpression(text);
  } catch (error) {
    if (!(error instanceof CelExpressionError)) throw error;
    context.addIssue(error.message);
    return z.NEVER;
  }
});

/** Computes fields with CEL expressions, from top to bottom: each sees what those above it wrote. */
export const mapStep = defineStep({
  name: "map",
  schema: writableEntries(expression).refine((entries) => entries.length > 0, "nothing to map"),
  compile: (entries) => {
    return (draft) => {
      for (const [field, evaluate] of entries) {
        const result = evaluate(draft);
        if (!result.ok) return failed("map_failed", `${field.text}: ${result.error}`);
        if (!draft.write(field, result.value)) {
          return failed("map_type_mismatch", `${field.text} can't hold ${describe(result.value)}`);
        }
      }
      return done;
    };
  },
});

function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a map" : `a ${typeof value}`;
}
