import type { CelEnv, parse } from "@bufbuild/cel";
import { boundedListFunction, compilePattern } from "./cel-functions.ts";

type Expr = ReturnType<typeof parse>["expr"];
type Node<Case extends string> = Extract<Expr["exprKind"], { case: Case }>["value"];

/** The text is not an expression that could work on a record. The message is meant for its author. */
export class CelExpressionError extends Error {
  override readonly name = "CelExpressionError";
}

const typeNames = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];
const operators = new Set(["_&&_", "_||_", "_?_:_", "_[_]", "@not_strictly_false"]);

/**
 * Finds unknown variables and functions before a record does, and bounds what an expression can cost: comprehensions
 * can't be nested, and their ranges are passed through a function that limits the length. Changes the expression in
 * place; throws CelExpressionError.
 */
export function checkExpression(env: CelEnv, root: Expr): void {
  check(root, []);

  /** `bound` are the names a comprehension around `expr` gives to its element and its result. */
  function check(expr: Expr | undefined, bound: readonly string[]): void {
    const node = expr?.exprKind;
    if (node?.case === "identExpr") checkVariable(node.value.name, bound);
    if (node?.case === "selectExpr") check(node.value.operand, bound);
    if (node?.case === "listExpr") for (const element of node.value.elements) check(element, bound);
    if (node?.case === "structExpr") checkMap(node.value, bound);
    if (node?.case === "callExpr") checkCall(node.value, bound);
    if (node?.case === "comprehensionExpr") checkComprehension(node.value, bound);
  }

  function checkVariable(name: string, bound: readonly string[]): void {
    if (env.variables.find(name) !== undefined || bound.includes(name) || typeNames.includes(name)) return;
    const known = [...env.variables].map(([variable]) => variable).join(", ");
    throw new CelExpressionError(`unknown variable '${name}'; variables are ${known}`);
  }

  function checkMap(map: Node<"structExpr">, bound: readonly string[]): void {
    if (map.messageName !== "") throw new CelExpressionError("messages can't be built here");
    for (const entry of map.entries) {
      if (entry.keyKind.case === "mapKey") check(entry.keyKind.value, bound);
      check(entry.value, bound);
    }
  }

  function checkCall(call: Node<"callExpr">, bound: readonly string[]): void {
    const { function: name, target, args } = call;
    check(target, bound);
    for (const arg of args) check(arg, bound);
    if (operators.has(name)) return;
    const overloads = [...(env.funcs.find(name) ?? [])];
    if (overloads.length === 0) throw new CelExpressionError(`unknown function '${name}'`);
    const fits = overloads.some(
      (overload) =>
        overload.arguments.length === args.length &&
        (overload.target === undefined) === (target === undefined),
    );
    if (!fits)
      throw new CelExpressionError(`'${name}' can't be called that way with ${args.length} argument(s)`);
    if (name === "matches") checkPattern(args.at(-1));
  }

  function checkComprehension(comprehension: Node<"comprehensionExpr">, bound: readonly string[]): void {
    const { iterRange, iterVar, iterVar2, accuVar, accuInit, loopCondition, loopStep, result } =
      comprehension;
    if (bound.length > 0) throw new CelExpressionError("map, filter, all and exists can't be nested");
    check(iterRange, bound);
    for (const part of [accuInit, loopCondition, loopStep, result]) check(part, [iterVar, iterVar2, accuVar]);
    if (iterRange !== undefined) comprehension.iterRange = withBoundedLength(iterRange);
  }
}

function withBoundedLength(range: Expr): Expr {
  const value: Node<"callExpr"> = {
    $typeName: "cel.expr.Expr.Call",
    function: boundedListFunction,
    args: [range],
  };
  return { ...range, exprKind: { case: "callExpr", value } };
}

// Only literals: a pattern taken from a record could be broken, or costly to compile.
function checkPattern(expr: Expr | undefined): void {
  const constant = expr?.exprKind.case === "constExpr" ? expr.exprKind.value.constantKind : undefined;
  if (constant?.case !== "stringValue") throw new CelExpressionError("matches needs a literal pattern");
  try {
    compilePattern(constant.value);
  } catch (cause) {
    throw new CelExpressionError(`matches: ${(cause as Error).message}`, { cause });
  }
}
