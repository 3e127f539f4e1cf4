import { deriveIdentityStep } from "./derive-identity.ts";
import { detectLanguageStep } from "./detect-language.ts";
import { mapStep } from "./map.ts";
import { redactStep } from "./redact.ts";
import { requireStep } from "./require.ts";
import { setStep } from "./set.ts";
import type { Step } from "./step.ts";

/** Every kind of step a pipeline can use. To add one: a file like the others, and a line here. */
export const steps: readonly Step[] = [
  requireStep,
  setStep,
  mapStep,
  detectLanguageStep,
  deriveIdentityStep,
  redactStep,
];
