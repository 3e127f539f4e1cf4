import { TENANT_ID_PATTERN } from "@chowhound/shared/record/limits";
import { type Document, isNode, LineCounter, parseDocument, visit } from "yaml";
import { z } from "zod";
import { anyScope, type PipelineSpec } from "./pipeline.ts";
import { steps } from "./steps/registry.ts";

/** Something wrong with a pipeline's document. `path` is like `steps[2].map`, "" for the document as a whole. */
export interface PipelineProblem {
  readonly path: string;
  readonly message: string;
  /** Counted from 1; absent if no line is to blame. */
  readonly line?: number;
}
export type ParsedPipeline =
  | { readonly pipeline: PipelineSpec }
  | { readonly problems: readonly PipelineProblem[] };

export const maxPipelineBytes = 64 * 1024;
export const maxPipelineSteps = 64;

const maxScopeLength = 128;

const scope = z
  .string()
  .min(1)
  .max(maxScopeLength)
  .refine(
    (name) => name === anyScope || !name.includes(anyScope),
    "either a whole name or '*' for all: no patterns",
  );

const tenantScope = scope.refine(
  (name) => name.includes(anyScope) || TENANT_ID_PATTERN.test(name),
  `a tenant's id matches ${TENANT_ID_PATTERN.source}`,
);

const stepsByName = new Map(steps.map((step) => [step.name, step]));

const stepEntry = z
  .record(z.string(), z.unknown())
  .transform((entry, context): PipelineSpec["steps"][number] => {
    const [name, ...more] = Object.keys(entry);
    const step = stepsByName.get(name ?? "");
    if (name === undefined || more.length > 0) {
      context.addIssue("a step is one name with its options");
      return z.NEVER;
    }
    if (step === undefined) {
      context.addIssue(`unknown step '${name}'; steps are ${[...stepsByName.keys()].join(", ")}`);
      return z.NEVER;
    }
    const parsed = step.schema.safeParse(entry[name]);
    if (parsed.success) return { name, run: parsed.data };
    for (const issue of parsed.error.issues) {
      context.issues.push({ ...issue, path: [name, ...issue.path], input: entry } as z.core.$ZodRawIssue);
    }
    return z.NEVER;
  });

const pipelineSchema = z
  .strictObject({
    tenant: tenantScope,
    source_type: scope,
    description: z.string().max(1024).default(""),
    steps: z.array(stepEntry).max(maxPipelineSteps),
  })
  .transform(({ source_type: sourceType, ...rest }): PipelineSpec => ({ ...rest, sourceType }));

/** Reads a pipeline's YAML document. Reports all that is wrong with it, not just the first thing. */
export function parsePipeline(yamlText: string): ParsedPipeline {
  if (Buffer.byteLength(yamlText) > maxPipelineBytes) {
    return { problems: [{ path: "", message: `a pipeline is at most ${maxPipelineBytes} bytes long` }] };
  }
  const lines = new LineCounter();
  const document = parseDocument(yamlText, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const lineOf = (offset: number) => ({ line: lines.linePos(offset).line });

  const yamlProblems: PipelineProblem[] = [...document.errors, ...document.warnings]
    .slice(0, maxPipelineSteps)
    .map((error) => ({ path: "", message: error.message, ...lineOf(error.pos[0]) }));
  if (yamlProblems.length > 0) return { problems: yamlProblems };

  const forbidden = findForbidden(document).map(({ message, offset }) => ({
    path: "",
    message,
    ...lineOf(offset),
  }));
  if (forbidden.length > 0) return { problems: forbidden };

  const parsed = pipelineSchema.safeParse(document.toJS());
  if (parsed.success) return { pipeline: parsed.data };
  return {
    problems: parsed.error.issues.map((issue) => {
      // An unknown key is reported on the object around it; its line is the key's own.
      const blamed = issue.code === "unrecognized_keys" ? [...issue.path, issue.keys[0]!] : issue.path;
      const offset = offsetOf(document, blamed);
      return {
        path: z.core.toDotPath(issue.path),
        message: issue.message,
        ...(offset !== undefined && lineOf(offset)),
      };
    }),
  };
}

// Aliases can blow a small document up, and `__proto__` is no key anybody needs.
function findForbidden(document: Document): { message: string; offset: number }[] {
  const found: { message: string; offset: number }[] = [];
  visit(document, {
    Alias: (_, node) => {
      found.push({ message: "aliases are not allowed: write the value out", offset: node.range?.[0] ?? 0 });
    },
    Scalar: (position, node) => {
      if (position === "key" && node.value === "__proto__") {
        found.push({ message: "'__proto__' is not allowed as a key", offset: node.range?.[0] ?? 0 });
      }
    },
  });
  return found;
}

/** Where the value at `path` starts; of what is missing, where the innermost thing around it does. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number | undefined {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return undefined;
}
