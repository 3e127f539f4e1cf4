import type { MeshEndpoints } from "./mesh-parts.ts";

/** The endpoints of a mesh as a table, and two commands to begin with. */
export function showEndpoints(endpoints: MeshEndpoints): string {
  const rows: [string, string][] = [
    ["gRPC", endpoints.grpc],
    ["HTTP", `${endpoints.http}  (Connect, gRPC-Web, JSON)`],
    ["NATS", endpoints.natsUrl],
    ["PostgreSQL", endpoints.postgresUrl],
    ...Object.entries(endpoints.admin).map(([name, address]): [string, string] => [
      `admin: ${name}`,
      address,
    ]),
    ...Object.entries(endpoints.metrics).map(([name, url]): [string, string] => [`metrics: ${name}`, url]),
    ["tenant", endpoints.tenant],
    ["key", endpoints.key],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const record = {
    sourceType: "note",
    sourceId: "terminal",
    dataId: "1",
    data: "hello",
    updatedAt: new Date().toISOString(),
  };
  return [
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
    "",
    "Push a record:",
    `  curl -sS ${endpoints.http}/chowhound.v1.IngestionService/Ingest -H 'content-type: application/json' \\`,
    `    -H 'authorization: Bearer ${endpoints.key}' \\`,
    `    -d '${JSON.stringify({ records: [record] })}'`,
    "Look at what has become of it:",
    `  psql '${endpoints.postgresUrl}' -c 'select source_type, source_id, data_id, left(data, 60) as data, updated_at from records order by stored_at desc limit 10'`,
  ].join("\n");
}
