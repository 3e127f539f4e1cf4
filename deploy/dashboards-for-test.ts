import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Target {
  expr: string;
  legendFormat: string;
}

export interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  fieldConfig?: { defaults: { unit?: string } };
  targets?: Target[];
}

export interface Dashboard {
  uid: string;
  title: string;
  description: string;
  templating: { list: { name: string; definition: string }[] };
  panels: Panel[];
}

const folder = join(import.meta.dirname, "grafana/dashboards");

/** The dashboards that Grafana is given. */
export function readDashboards(): Dashboard[] {
  return readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Dashboard);
}

/** Every query of a dashboard, with the panel that shows it. */
export function queriesOf({ panels }: Dashboard): { panel: Panel; target: Target }[] {
  return panels.flatMap((panel) => (panel.targets ?? []).map((target) => ({ panel, target })));
}

/** A panel's query as Grafana would send it: with values for what only Grafana knows. */
export function fillIn(expr: string, variables: Readonly<Record<string, string>>): string {
  return expr.replaceAll(/\$(\w+)/g, (whole, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`${whole} in ${expr} is no variable`);
    return value;
  });
}
