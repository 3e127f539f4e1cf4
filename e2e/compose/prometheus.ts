import { fillIn, queriesOf, readDashboards } from "../../deploy/dashboards-for-test.ts";
import { getJson } from "./poll.ts";

/** Prometheus, through its HTTP API. */
export interface Prometheus {
  /** How many processes of each job are up. Throws where one that it knows is not. */
  targets(): Promise<Record<string, number>>;
  /** Runs every query of every dashboard; the number of them. Throws where one is refused, or a panel stays empty. */
  runPanels(): Promise<number>;
}

interface Targets {
  data: { activeTargets: { labels: { job: string; instance: string }; health: string; lastError: string }[] };
}

/** As Grafana fills them in for the last minutes of the demo. */
const variables = { __rate_interval: "20s", __range: "5m", tenant: "local" };

export function createPrometheus(port: number): Prometheus {
  const url = (path: string): URL => new URL(`http://127.0.0.1:${port}/api/v1/${path}`);
  const countSeries = async (promql: string): Promise<number> => {
    const query = url("query");
    query.searchParams.set("query", promql);
    return (await getJson<{ data: { result: unknown[] } }>(query)).data.result.length;
  };

  return {
    async targets() {
      const counts: Record<string, number> = {};
      for (const { labels, health, lastError } of (await getJson<Targets>(url("targets"))).data
        .activeTargets) {
        if (health !== "up")
          throw new Error(`${labels.job} at ${labels.instance} is ${health}: ${lastError}`);
        counts[labels.job] = (counts[labels.job] ?? 0) + 1;
      }
      return counts;
    },
    async runPanels() {
      const seriesOfPanel = new Map<string, number>();
      let queries = 0;
      for (const dashboard of readDashboards()) {
        for (const { panel, target } of queriesOf(dashboard)) {
          const name = `${dashboard.title}: ${panel.title} (${panel.id})`;
          const series = await countSeries(fillIn(target.expr, variables));
          seriesOfPanel.set(name, (seriesOfPanel.get(name) ?? 0) + series);
          queries++;
        }
      }
      const empty = [...seriesOfPanel].filter(([, series]) => series === 0).map(([name]) => name);
      if (empty.length > 0) throw new Error(`nothing to show: ${empty.join("; ")}`);
      return queries;
    },
  };
}
