import type { Meter } from "@chowhound/shared/telemetry/meter";

interface Connections {
  used: number;
  idle: number;
}

/** Has the meter tell how the connections to the sink are used. @param pools.readers undefined where the sink doesn't say */
export function showConnections(
  meter: Meter,
  pools: { writers(): Connections; readers: (() => Connections & { waiting: number }) | undefined },
): void {
  const show = (pool: "writers" | "readers", { used, idle }: Connections): void => {
    for (const [state, count] of [["used", used] as const, ["idle", idle] as const])
      meter.set("db.client.connection.count", count, {
        "db.client.connection.pool.name": pool,
        "db.client.connection.state": state,
      });
  };
  meter.onCollect(() => {
    show("writers", pools.writers());
    const readers = pools.readers?.();
    if (readers === undefined) return;
    show("readers", readers);
    meter.set("db.client.connection.pending_requests", readers.waiting, {
      "db.client.connection.pool.name": "readers",
    });
  });
}
