import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { readableField } from "./field-path.ts";
import { defineStep, done } from "./step.ts";

type Eld = typeof import("eld/extrasmall");

let loaded: Eld | undefined;

/**
 * The detector takes about 100 MB and a third of a second to load, so only the first pipeline that needs it loads it.
 * Of its data sets the smallest: as good as the larger ones on sentences.
 */
function loadDetector(): Eld["eld"] {
  // By path: the package exports nothing under its name to `require`, which, other than `import`, is done on return.
  const path = fileURLToPath(import.meta.resolve("eld/extrasmall"));
  loaded ??= createRequire(import.meta.url)(path) as Eld;
  return loaded.eld;
}

/** Fills in lang from the record's text. Text that gives nothing reliable away leaves lang as it is. */
export const detectLanguageStep = defineStep({
  name: "detect_language",
  schema: z.strictObject({
    field: readableField.prefault("data"),
    overwrite: z.boolean().default(false),
    min_length: z.int().min(1).default(20),
    min_confidence: z.number().min(0).max(1).default(0),
  }),
  compile: ({ field, overwrite, min_length: minLength, min_confidence: minConfidence }) => {
    const eld = loadDetector();
    return (draft) => {
      if (!overwrite && draft.get("lang") !== "") return done;
      const text = draft.read(field);
      if (typeof text !== "string" || text.length < minLength) return done;
      const detected = eld.detect(text);
      if (!detected.isReliable()) return done;
      const confidence = detected.getScores()[detected.language] ?? 0;
      if (confidence >= minConfidence) draft.set("lang", detected.language);
      return done;
    };
  },
});
