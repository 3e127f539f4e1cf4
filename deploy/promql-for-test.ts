import type { SyntaxNode } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";

/** A label that a query compares with a value. */
export interface LabelMatcher {
  label: string;
  operator: string;
  value: string;
}

/** A place where a query names a metric. */
export interface Selector {
  metric: string;
  matchers: LabelMatcher[];
}

/** Labels that a query groups or joins by, and the selectors that this is done to. */
export interface Grouping {
  labels: string[];
  selectors: Selector[];
}

export interface Query {
  selectors: Selector[];
  groupings: Grouping[];
}

/** @throws {SyntaxError} where this is not PromQL */
export function parsePromql(text: string): Query {
  const top = parser.parse(text).topNode;
  for (const node of descendants(top))
    if (node.type.isError) throw new SyntaxError(`no PromQL at character ${node.from}: ${text}`);
  const textOf = (node: SyntaxNode): string => text.slice(node.from, node.to);

  const selectorsIn = (node: SyntaxNode): Selector[] =>
    ofType(node, "VectorSelector").map((selector) => ({
      metric: textOf(selector.getChild("Identifier")!),
      matchers: ofType(selector, "UnquotedLabelMatcher").map((matcher) => ({
        label: textOf(matcher.getChild("LabelName")!),
        operator: textOf(matcher.getChild("MatchOp")!),
        value: textOf(matcher.getChild("StringLiteral")!).slice(1, -1),
      })),
    }));
  return {
    selectors: selectorsIn(top),
    groupings: ofType(top, "GroupingLabels").map((grouping) => ({
      labels: ofType(grouping, "LabelName").map(textOf),
      // Above the labels is their modifier, above that the expression that it modifies.
      selectors: selectorsIn(grouping.parent!.parent!),
    })),
  };
}

function ofType(node: SyntaxNode, name: string): SyntaxNode[] {
  return [...descendants(node)].filter((descendant) => descendant.name === name);
}

function* descendants(node: SyntaxNode): Generator<SyntaxNode> {
  for (let child = node.firstChild; child !== null; child = child.nextSibling) {
    yield child;
    yield* descendants(child);
  }
}
